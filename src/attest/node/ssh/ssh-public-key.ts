import { createPublicKey, type KeyObject } from 'node:crypto';
import { messageOf } from '../../../spiffe/index.ts';
import { SshReader } from './ssh-reader.ts';

/** The kinds of keys that are known; others, such as DSA and those of tokens (sk-), are refused. */
export const sshKeyTypes = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ssh-rsa',
] as const;
export type SshKeyType = (typeof sshKeyTypes)[number];

/** A public key, with where its numbers come from. */
export interface SshPublicKey {
  readonly type: SshKeyType;
  readonly key: KeyObject;
}

export const ecCurves = {
  'ecdsa-sha2-nistp256': { name: 'nistp256', crv: 'P-256', bytes: 32 },
  'ecdsa-sha2-nistp384': { name: 'nistp384', crv: 'P-384', bytes: 48 },
  'ecdsa-sha2-nistp521': { name: 'nistp521', crv: 'P-521', bytes: 66 },
} as const;
const MAX_KEY_BYTES = 2_048;
const MAX_RSA_BYTES = 1_024;
const RSA_BITS = { min: 2_048, max: 8_192 } as const;
const MAX_EXPONENT_BYTES = 4;
const UNCOMPRESSED = 4;

export function isSshKeyType(name: string): name is SshKeyType {
  return sshKeyTypes.some((type) => type === name);
}

/** Parses a public key as RFC 4253 §6.6 and RFC 8709 write it. @throws Error */
export function parseSshPublicKey(bytes: Uint8Array, what: string): SshPublicKey {
  if (bytes.length > MAX_KEY_BYTES) throw new Error(`${what} has ${bytes.length} bytes`);
  const reader = new SshReader(bytes, what);
  const type = reader.text('its type', 64);
  if (!isSshKeyType(type)) throw new Error(`${what} is of a kind that is not known: ${type}`);
  const key = readSshPublicKey(reader, type, what);
  reader.finish();
  return key;
}

/** Reads what follows the type. @throws Error */
export function readSshPublicKey(reader: SshReader, type: SshKeyType, what: string): SshPublicKey {
  const jwk = readJwk(reader, type, what);
  try {
    return { type, key: createPublicKey({ key: jwk, format: 'jwk' }) };
  } catch (error) {
    throw new Error(`${what} is no key: ${messageOf(error)}`, { cause: error });
  }
}

function readJwk(reader: SshReader, type: SshKeyType, what: string): Record<string, string> {
  if (type === 'ssh-ed25519') {
    const x = reader.string('its key', 32);
    if (x.length !== 32) throw reader.malformed(`its key has ${x.length} bytes`);
    return { kty: 'OKP', crv: 'Ed25519', x: x.toString('base64url') };
  }
  if (type === 'ssh-rsa') {
    const e = reader.positive('its exponent', MAX_EXPONENT_BYTES);
    const n = reader.positive('its modulus', MAX_RSA_BYTES);
    checkRsa(e, n, what);
    return { kty: 'RSA', e: e.toString('base64url'), n: n.toString('base64url') };
  }
  const { name, crv, bytes } = ecCurves[type];
  const curve = reader.text('its curve', 16);
  if (curve !== name) throw reader.malformed(`its curve is ${JSON.stringify(curve)}`);
  const point = reader.string('its point', 1 + 2 * bytes);
  if (point.length !== 1 + 2 * bytes || point[0] !== UNCOMPRESSED)
    throw reader.malformed('its point is not an uncompressed one of its curve');
  const [x, y] = [point.subarray(1, 1 + bytes), point.subarray(1 + bytes)];
  return { kty: 'EC', crv, x: x.toString('base64url'), y: y.toString('base64url') };
}

function checkRsa(e: Buffer, n: Buffer, what: string): void {
  const bits = n.length * 8 - Math.clz32(n[0] ?? 0) + 24;
  if (bits < RSA_BITS.min || bits > RSA_BITS.max)
    throw new Error(`${what} has ${bits} bits; expected ${RSA_BITS.min} to ${RSA_BITS.max}`);
  const isOdd = ((e.at(-1) ?? 0) & 1) === 1;
  if (!isOdd || (e.length === 1 && e[0] === 1)) throw new Error(`${what} has an unusable exponent`);
}
