import { createHash, createPublicKey } from 'node:crypto';
import { messageOf, quote, TrustplaneError } from '../spiffe/index.ts';
import { type KeyManager, type KeyType, keyTypes, type SigningKey } from './key-manager.ts';
import { keyExists } from './memory-key-manager.ts';
import { checkKeyId } from './private-key.ts';
import {
  errorsOf,
  memberOf,
  type VaultAnswer,
  type VaultClient,
  type VaultMethod,
} from './vault-client.ts';
import type { VaultLogin } from './vault-login.ts';

const vaultTypes: Readonly<Record<KeyType, string>> = {
  'ec-p256': 'ecdsa-p256',
  'ec-p384': 'ecdsa-p384',
  'rsa-2048': 'rsa-2048',
  'rsa-4096': 'rsa-4096',
};
/** Somebody may rotate the key in Vault; the authority is of the first version. */
const KEY_VERSION = 1;
const SIGNATURE = /^vault:v1:([A-Za-z0-9+/]+={0,2})$/u;
const MAX_KEYS = 4_096;

export interface VaultKeyManagerOptions {
  readonly client: VaultClient;
  readonly login: VaultLogin;
  /** Where the transit engine is mounted, such as `transit`. */
  readonly mount: string;
  /** Of the names of this server's keys; no other server's begin with it. */
  readonly prefix: string;
}

/**
 * Keys in the transit engine of Vault or OpenBao, that sign there and never leave. Each signature is a
 * call. Calls reject with ERR_VAULT_UNAVAILABLE, ERR_VAULT_REFUSED, ERR_VAULT_LOGIN, ERR_VAULT_ANSWER
 * or ERR_VAULT_KEY too.
 */
export function createVaultKeyManager(options: VaultKeyManagerOptions): KeyManager {
  return new TransitKeys(options);
}

class TransitKeys implements KeyManager {
  readonly isDurable = true;
  readonly #options: VaultKeyManagerOptions;
  readonly #known = new Map<string, SigningKey>();
  readonly #inProgress = new Set<string>();

  constructor(options: VaultKeyManagerOptions) {
    this.#options = options;
  }

  async generateKey(keyId: string, keyType: KeyType): Promise<SigningKey> {
    checkKeyId(keyId);
    if (this.#inProgress.has(keyId)) throw keyExists(keyId);
    this.#inProgress.add(keyId);
    try {
      // Vault answers as if it had made a key when there is one of the name.
      if ((await this.getKey(keyId)) !== undefined) throw keyExists(keyId);
      const body = {
        type: vaultTypes[keyType],
        exportable: false,
        allow_plaintext_backup: false,
      };
      this.#require(await this.#call('POST', this.#path('keys', keyId), body), 'made no key');
      const key = await this.getKey(keyId);
      if (key?.keyType === keyType) return key;
      throw unusable(
        this.#name(keyId),
        `is of type ${key?.keyType ?? 'none'}; expected ${keyType}`,
      );
    } finally {
      this.#inProgress.delete(keyId);
    }
  }

  async getKey(keyId: string): Promise<SigningKey | undefined> {
    const known = this.#known.get(keyId);
    if (known !== undefined) return known;
    const answer = await this.#call('GET', this.#path('keys', keyId));
    if (answer.status === 404) return undefined;
    this.#require(answer, 'did not show a key');
    const { keyType, publicKey } = parseKey(answer, this.#name(keyId));
    const sign = (data: Uint8Array): Promise<Uint8Array> => this.#sign(keyId, keyType, data);
    const key = { keyId, keyType, publicKey, sign };
    this.#known.set(keyId, key);
    return key;
  }

  async deleteKey(keyId: string): Promise<boolean> {
    if ((await this.getKey(keyId)) === undefined) return false;
    const allow = { deletion_allowed: true };
    const path = this.#path('keys', keyId);
    this.#require(await this.#call('POST', `${path}/config`, allow), 'kept a key');
    this.#require(await this.#call('DELETE', path), 'kept a key');
    return this.#known.delete(keyId);
  }

  async listKeys(): Promise<readonly string[]> {
    const { mount, prefix } = this.#options;
    const answer = await this.#call('GET', `${mount}/keys?list=true`);
    if (answer.status === 404) return [];
    this.#require(answer, 'did not list keys');
    const keys = memberOf(answer.body, 'data', 'keys');
    if (!Array.isArray(keys) || !keys.every((name) => typeof name === 'string')) {
      throw malformed('a list of keys', answer);
    }
    const own = keys.filter((name) => name.startsWith(prefix));
    if (own.length > MAX_KEYS) throw malformed(`at most ${MAX_KEYS} keys`, answer);
    return own.map((name) => name.slice(prefix.length)).sort();
  }

  async #sign(keyId: string, keyType: KeyType, data: Uint8Array): Promise<Uint8Array> {
    const hash = keyType === 'ec-p384' ? 'sha384' : 'sha256';
    const body = {
      input: createHash(hash).update(data).digest('base64'),
      prehashed: true,
      key_version: KEY_VERSION,
      hash_algorithm: hash === 'sha384' ? 'sha2-384' : 'sha2-256',
      ...(keyType.startsWith('ec-')
        ? { marshaling_algorithm: 'asn1' }
        : { signature_algorithm: 'pkcs1v15' }),
    };
    const answer = await this.#call('POST', this.#path('sign', keyId), body);
    this.#require(answer, 'did not sign');
    const signature = memberOf(answer.body, 'data', 'signature');
    const [, base64] = typeof signature === 'string' ? (SIGNATURE.exec(signature) ?? []) : [];
    if (base64 === undefined) throw malformed('a signature vault:v1:…', answer);
    return new Uint8Array(Buffer.from(base64, 'base64'));
  }

  /** A token that Vault takes no more is replaced, once. */
  async #call(method: VaultMethod, path: string, body?: object): Promise<VaultAnswer> {
    const { client, login } = this.#options;
    const ask = async (): Promise<[VaultAnswer, string]> => {
      const token = await login.token();
      return [await client.call(method, path, { token, ...(body && { body }) }), token];
    };
    const [answer, token] = await ask();
    if (answer.status !== 403) return answer;
    login.forget(token);
    const [again] = await ask();
    if (again.status !== 403) return again;
    throw new TrustplaneError(
      'ERR_VAULT_REFUSED',
      `Vault does not allow ${method} ${path}${errorsOf(again)}; see the policy of the token`,
    );
  }

  #require(answer: VaultAnswer, what: string): void {
    if (answer.status === 200 || answer.status === 204) return;
    throw new TrustplaneError(
      'ERR_VAULT_ANSWER',
      `Vault ${what}: HTTP ${answer.status}${errorsOf(answer)}`,
    );
  }

  #name(keyId: string): string {
    return `${this.#options.prefix}${keyId}`;
  }

  #path(verb: 'keys' | 'sign', keyId: string): string {
    return `${this.#options.mount}/${verb}/${this.#name(keyId)}`;
  }
}

/** A key that could leave Vault is not used. */
function parseKey(
  answer: VaultAnswer,
  name: string,
): { readonly keyType: KeyType; readonly publicKey: Uint8Array } {
  const field = (...path: readonly string[]) => memberOf(answer.body, 'data', ...path);
  const type = field('type');
  const keyType = keyTypes.find((known) => vaultTypes[known] === type);
  if (keyType === undefined) throw unusable(name, `has type ${textOf(type)}`);
  if (field('exportable') !== false || field('allow_plaintext_backup') !== false) {
    throw unusable(name, 'may be exported; a key that can leave Vault is not used');
  }
  const pem = field('keys', String(KEY_VERSION), 'public_key');
  if (typeof pem !== 'string') throw unusable(name, 'has no first version');
  try {
    const spki = createPublicKey(pem).export({ type: 'spki', format: 'der' });
    return { keyType, publicKey: new Uint8Array(spki) };
  } catch (cause) {
    throw unusable(name, `shows no public key: ${messageOf(cause)}`);
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? quote(value) : typeof value;
}

function unusable(name: string, why: string): TrustplaneError {
  return new TrustplaneError('ERR_VAULT_KEY', `the key ${name} in Vault ${why}`);
}

function malformed(expected: string, { status }: VaultAnswer): TrustplaneError {
  return new TrustplaneError(
    'ERR_VAULT_ANSWER',
    `Vault: expected ${expected}; got something else with HTTP ${status}`,
  );
}
