import { createCipheriv, createDecipheriv } from 'node:crypto';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { type KeyType, keyTypes } from './key-manager.ts';
import type { RandomBytes } from './serial-number.ts';

const VERSION = 1;
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/u;

export const SEAL_KEY_BYTES = 32;
/** Most bytes a sealed key file may have; RSA 4096 needs about 3,400. */
export const MAX_SEALED_KEY_BYTES = 16_384;

export interface OpenedKey {
  readonly keyType: KeyType;
  /** PKCS#8 DER; the caller wipes it. */
  readonly pkcs8: Buffer;
}

/**
 * Seals a private key with AES-256-GCM into the text of a key file: one JSON object whose version,
 * key ID and type are authenticated.
 */
export function sealKey(
  key: OpenedKey & { readonly keyId: string },
  sealKeyBytes: Uint8Array,
  random: RandomBytes,
): Uint8Array {
  const nonce = random(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, sealKeyBytes, nonce);
  cipher.setAAD(header(key.keyId, key.keyType));
  const sealed = Buffer.concat([cipher.update(key.pkcs8), cipher.final(), cipher.getAuthTag()]);
  const document = {
    version: VERSION,
    keyId: key.keyId,
    keyType: key.keyType,
    nonce: Buffer.from(nonce).toString('base64'),
    sealed: sealed.toString('base64'),
  };
  return Buffer.from(`${JSON.stringify(document, undefined, 2)}\n`);
}

/**
 * Opens what `sealKey` made for the same key ID.
 * @throws TrustplaneError ERR_KEY_FILE_DAMAGED naming `file`
 */
export function openKey(
  bytes: Uint8Array,
  keyId: string,
  sealKeyBytes: Uint8Array,
  file: string,
): OpenedKey {
  const document = parseDocument(bytes, file);
  const keyType = keyTypes.find((type) => type === document.keyType);
  if (document.version !== VERSION) throw damaged(file, `has version ${show(document.version)}`);
  if (document.keyId !== keyId) throw damaged(file, `is of the key ${show(document.keyId)}`);
  if (keyType === undefined) throw damaged(file, `has key type ${show(document.keyType)}`);
  const nonce = decodeBase64(document.nonce);
  const sealed = decodeBase64(document.sealed);
  if (nonce?.length !== NONCE_BYTES || sealed === undefined || sealed.length <= TAG_BYTES) {
    throw damaged(file, 'has a malformed nonce or ciphertext');
  }
  try {
    const decipher = createDecipheriv(CIPHER, sealKeyBytes, nonce);
    decipher.setAAD(header(keyId, keyType));
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    const opened = decipher.update(sealed.subarray(0, -TAG_BYTES));
    return { keyType, pkcs8: Buffer.concat([opened, decipher.final()]) };
  } catch (cause) {
    throw damaged(file, 'was changed, or sealed with another seal key', cause);
  }
}

/**
 * Opens it with the first of the seal keys that fits.
 * @throws TrustplaneError ERR_KEY_FILE_DAMAGED naming `file`
 */
export function openKeyWithAny(
  bytes: Uint8Array,
  keyId: string,
  sealKeys: readonly Uint8Array[],
  file: string,
): OpenedKey {
  let failure: unknown;
  for (const sealKeyBytes of sealKeys) {
    try {
      return openKey(bytes, keyId, sealKeyBytes, file);
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

function header(keyId: string, keyType: KeyType): Buffer {
  return Buffer.from(`trustplane sealed key\n${VERSION}\n${keyId}\n${keyType}\n`);
}

function parseDocument(bytes: Uint8Array, file: string): Record<string, unknown> {
  let document: unknown;
  try {
    document = JSON.parse(Buffer.from(bytes).toString());
  } catch (cause) {
    throw damaged(file, `is not JSON: ${messageOf(cause)}`, cause);
  }
  if (typeof document !== 'object' || document === null) throw damaged(file, 'is no JSON object');
  return { ...document };
}

function decodeBase64(value: unknown): Buffer | undefined {
  return typeof value === 'string' && BASE64.test(value) ? Buffer.from(value, 'base64') : undefined;
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? 'none').slice(0, 80);
}

/** The error of a key file that cannot be used; nothing of its content is in the message but names. */
export function damaged(file: string, why: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError(
    'ERR_KEY_FILE_DAMAGED',
    `the key file ${file} ${why}; restore it from a backup, or remove it to give the key up`,
    cause === undefined ? {} : { cause },
  );
}
