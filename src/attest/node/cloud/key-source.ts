import type { Log } from '../../../ops/index.ts';
import {
  type Clock,
  type JsonValue,
  messageOf,
  parseJson,
  parsePublicJwk,
  quote,
} from '../../../spiffe/index.ts';
import { refused } from './refused.ts';
import type { TokenKey } from './signed-token.ts';

const FRESH_MS = 3_600_000;
const KEPT_MS = 86_400_000;
const COOLDOWN_MS = 30_000;
const MAX_KEYS = 256;

/** The keys of one issuer, which change now and then. */
export interface KeySource {
  /** @throws TrustplaneError ERR_NODE_ATTEST_KEY when the issuer has no such key, ERR_NODE_ATTEST_KEYS when it was never reached */
  find(keyId: string): Promise<TokenKey>;
}

interface KeySet {
  readonly keys: ReadonlyMap<string, TokenKey>;
  readonly fetchedAt: number;
}

/**
 * Keeps the key set that `fetchKeys` brings for an hour, and for a day when there is no newer one to be
 * had. A key that is not in it is looked for anew, at most every 30 seconds whoever asks.
 */
export function createKeySource(options: {
  /** The bytes of the JWK set. */
  readonly fetchKeys: () => Promise<Uint8Array>;
  /** For messages. */
  readonly issuer: string;
  readonly clock: Clock;
  readonly log: Log;
}): KeySource {
  const { fetchKeys, issuer, clock, log } = options;
  let current: KeySet | undefined;
  let askedAt: number | undefined;
  let asking: Promise<void> | undefined;

  const renew = async (): Promise<void> => {
    askedAt = clock.now();
    try {
      current = { keys: parseKeys(await fetchKeys()), fetchedAt: clock.now() };
    } catch (error) {
      log.warn({ issuer, error: messageOf(error) }, 'the keys of an issuer could not be fetched');
    }
  };
  const renewOnce = async (): Promise<void> => {
    const isTooSoon = askedAt !== undefined && Math.abs(clock.now() - askedAt) < COOLDOWN_MS;
    if (asking === undefined && isTooSoon) return;
    asking ??= renew().finally(() => {
      asking = undefined;
    });
    await asking;
  };
  const ageMs = (): number =>
    current === undefined ? Number.POSITIVE_INFINITY : Math.abs(clock.now() - current.fetchedAt);
  return {
    async find(keyId) {
      if (ageMs() > FRESH_MS || current?.keys.has(keyId) !== true) await renewOnce();
      if (current === undefined || ageMs() > KEPT_MS) {
        throw refused('ERR_NODE_ATTEST_KEYS', `the keys of ${issuer} cannot be had; try later`);
      }
      const key = current.keys.get(keyId);
      if (key !== undefined) return key;
      throw refused('ERR_NODE_ATTEST_KEY', `${issuer} has no key ${quote(keyId)}`);
    },
  };
}

/**
 * The keys of a JWK set (RFC 7517 §5) by `kid`. Those of other kinds and uses, and those that share a
 * `kid`, are left out.
 * @throws TrustplaneError ERR_JSON; Error when it is no set of 1 to 256 keys
 */
export function parseKeys(document: Uint8Array): ReadonlyMap<string, TokenKey> {
  const root = parseJson(document, { maxDepth: 6 });
  const list = root instanceof Map ? root.get('keys') : undefined;
  if (!isArray(list) || list.length > MAX_KEYS) {
    throw new Error(`expected a JWK set of at most ${MAX_KEYS} keys`);
  }
  const keys = new Map<string, TokenKey>();
  const shared = new Set<string>();
  for (const jwk of list) {
    const keyId = jwk instanceof Map ? jwk.get('kid') : undefined;
    if (!(jwk instanceof Map) || typeof keyId !== 'string') continue;
    const use = jwk.get('use') ?? 'sig';
    const key = parsePublicJwk(jwk);
    if (use !== 'sig' || 'fault' in key) continue;
    if (keys.has(keyId)) shared.add(keyId);
    keys.set(keyId, key);
  }
  for (const keyId of shared) keys.delete(keyId);
  if (keys.size === 0) throw new Error('the JWK set has no key that could be used');
  return keys;
}

function isArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}
