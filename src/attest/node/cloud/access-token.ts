import type { Clock, JsonObject } from '../../../spiffe/index.ts';
import { refused } from './refused.ts';

/** A bearer token for an API. @throws TrustplaneError ERR_NODE_ATTEST_CLOUD */
export type AccessToken = () => Promise<string>;

const RENEW_BEFORE_MS = 60_000;
const TOKEN = /^[\x21-\x7e]{1,16384}$/u;

/** What `fetch` brings (RFC 6749 §5.1), until shortly before it ends; asked once for many. */
export function createAccessToken(clock: Clock, fetch: () => Promise<JsonObject>): AccessToken {
  let current: { readonly token: string; readonly endsAt: number } | undefined;
  let fetching: Promise<JsonObject> | undefined;
  return async () => {
    if (current !== undefined && clock.now() < current.endsAt - RENEW_BEFORE_MS) {
      return current.token;
    }
    fetching ??= fetch().finally(() => {
      fetching = undefined;
    });
    const answer = await fetching;
    const token = answer.get('access_token');
    // Azure's metadata service says it as text.
    const seconds = Number(answer.get('expires_in') ?? 0);
    if (typeof token !== 'string' || !TOKEN.test(token) || !(seconds >= 0)) {
      throw refused('ERR_NODE_ATTEST_CLOUD', 'an answer that should hold an access token has none');
    }
    current = { token, endsAt: clock.now() + seconds * 1000 };
    return token;
  };
}
