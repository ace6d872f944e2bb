import {
  createPublicKey,
  generateKeyPair,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto';
import { promisify } from 'node:util';
import { TrustplaneError } from '../spiffe/index.ts';
import type { KeyType, SigningKey } from './key-manager.ts';

const KEY_ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$/u;
const generatePair = promisify(generateKeyPair);

/** @throws TrustplaneError ERR_KEY_ID */
export function checkKeyId(keyId: string): void {
  if (KEY_ID.test(keyId)) return;
  throw new TrustplaneError(
    'ERR_KEY_ID',
    `a key ID is 1 to 128 characters out of A-Z, a-z, 0-9, "_" and "-", not first "_" or "-"; got ${JSON.stringify(keyId.slice(0, 140))}`,
  );
}

/** An EC key takes 20 µs, less than the way to another thread and back; an RSA key takes seconds. */
const generators: Readonly<Record<KeyType, () => Promise<{ readonly privateKey: KeyObject }>>> = {
  'ec-p256': async () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  'ec-p384': async () => generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  'rsa-2048': () => generatePair('rsa', { modulusLength: 2048 }),
  'rsa-4096': () => generatePair('rsa', { modulusLength: 4096 }),
};

export async function generatePrivateKey(keyType: KeyType): Promise<KeyObject> {
  return (await generators[keyType]()).privateKey;
}

/** A key of this process, which can sign without waiting too. */
export interface LocalSigningKey extends SigningKey {
  signNow(data: Uint8Array): Uint8Array;
}

/** A private key held in this process's memory; it has signed when `sign` returns its promise. */
export function createSigningKey(
  keyId: string,
  keyType: KeyType,
  privateKey: KeyObject,
): LocalSigningKey {
  const hash = keyType === 'ec-p384' ? 'sha384' : 'sha256';
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const signNow = (data: Uint8Array): Uint8Array => sign(hash, data, privateKey);
  return {
    keyId,
    keyType,
    publicKey: Uint8Array.from(publicKey),
    sign: async (data) => signNow(data),
    signNow,
  };
}
