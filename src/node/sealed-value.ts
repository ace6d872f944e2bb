import { createCipheriv, createDecipheriv } from 'node:crypto';
import { TrustplaneError } from '../spiffe/index.ts';

/** Of the form below, and of what is in the values. */
const SCHEMA = 1;
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface Seal {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** `count` unpredictable bytes. */
  readonly random: (count: number) => Uint8Array;
}

/** Seals a value with AES-256-GCM to the name it is kept under: nonce, ciphertext, tag. */
export function sealValue({ key, random }: Seal, name: string, value: Uint8Array): Uint8Array {
  const nonce = random(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(headerOf(name));
  return Buffer.concat([nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()]);
}

/**
 * Opens what `sealValue` made for the same name.
 * @throws TrustplaneError ERR_CACHE_VALUE
 */
export function openValue({ key }: Pick<Seal, 'key'>, name: string, sealed: Uint8Array): Buffer {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw unreadable(name, 'is too short');
  try {
    const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES));
    decipher.setAAD(headerOf(name)).setAuthTag(sealed.subarray(-TAG_BYTES));
    const opened = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES));
    return Buffer.concat([opened, decipher.final()]);
  } catch (cause) {
    throw unreadable(name, 'was changed, or sealed with another key or by another release', cause);
  }
}

export function unreadable(name: string, why: string, cause?: unknown): TrustplaneError {
  const message = `the value ${name} of the agent's cache ${why}`;
  return new TrustplaneError('ERR_CACHE_VALUE', message, cause === undefined ? {} : { cause });
}

function headerOf(name: string): Buffer {
  return Buffer.from(`trustplane agent cache\n${SCHEMA}\n${name}\n`);
}
