import { readFileBounded } from '../ops/index.ts';
import { type Clock, TrustplaneError } from '../spiffe/index.ts';
import { errorsOf, memberOf, type VaultClient } from './vault-client.ts';

const MAX_SECRET_BYTES = 16_384;
/** A token in a file is read again, because others renew it. */
const FILE_LIFE_MS = 30_000;
/** Share of the life of a token after which the next one is asked for. */
const RENEW_AFTER = 2 / 3;

/** How this server proves itself to Vault; secrets come out of files. */
export type VaultAuth =
  | { readonly kind: 'token'; readonly tokenFile: string }
  | {
      readonly kind: 'approle';
      readonly mount: string;
      readonly roleId: string;
      readonly secretIdFile: string;
    }
  /** Auth methods that take a signed token for a role: kubernetes, jwt. */
  | {
      readonly kind: 'jwt';
      readonly mount: string;
      readonly role: string;
      readonly tokenFile: string;
    };

/** The token to call Vault with, kept while it is good. */
export interface VaultLogin {
  /** @throws TrustplaneError ERR_VAULT_LOGIN, ERR_VAULT_UNAVAILABLE */
  token(): Promise<string>;
  /** Vault refused it: the next call gets another. */
  forget(token: string): void;
}

interface Held {
  readonly token: string;
  readonly renewAt: number;
}

export function createVaultLogin(client: VaultClient, auth: VaultAuth, clock: Clock): VaultLogin {
  let held: Held | undefined;
  let asking: Promise<Held> | undefined;
  return {
    async token() {
      if (held !== undefined && clock.now() < held.renewAt) return held.token;
      asking ??= login(client, auth, clock).finally(() => {
        asking = undefined;
      });
      held = await asking;
      return held.token;
    },
    forget(token) {
      if (held?.token === token) held = undefined;
    },
  };
}

async function login(client: VaultClient, auth: VaultAuth, clock: Clock): Promise<Held> {
  if (auth.kind === 'token') {
    const token = await readSecret(auth.tokenFile);
    return { token, renewAt: clock.now() + FILE_LIFE_MS };
  }
  const body =
    auth.kind === 'approle'
      ? { role_id: auth.roleId, secret_id: await readSecret(auth.secretIdFile) }
      : { role: auth.role, jwt: await readSecret(auth.tokenFile) };
  const path = `auth/${auth.mount}/login`;
  const answer = await client.call('POST', path, { body });
  const token = memberOf(answer.body, 'auth', 'client_token');
  const seconds = memberOf(answer.body, 'auth', 'lease_duration');
  if (answer.status !== 200 || typeof token !== 'string' || token === '') {
    throw refused(`${path} answered HTTP ${answer.status} without a token${errorsOf(answer)}`);
  }
  const lifeMs = typeof seconds === 'number' && seconds > 0 ? seconds * 1_000 : FILE_LIFE_MS;
  return { token, renewAt: clock.now() + lifeMs * RENEW_AFTER };
}

/** One line; the content is in no message. */
async function readSecret(file: string): Promise<string> {
  const bytes = await readFileBounded(file, MAX_SECRET_BYTES);
  if (bytes === undefined) throw refused(`the file ${file} does not exist`);
  const text = Buffer.from(bytes).toString('latin1').trim();
  if (/^[\x21-\x7e]+$/u.test(text)) return text;
  throw refused(`the file ${file} does not hold one line of printable characters`);
}

function refused(why: string): TrustplaneError {
  return new TrustplaneError('ERR_VAULT_LOGIN', `no token for Vault: ${why}`);
}
