import { type KeyObject, sign, verify } from 'node:crypto';
import { ecCurves, type SshKeyType, type SshPublicKey } from './ssh-public-key.ts';
import { SshReader, sshPositive } from './ssh-reader.ts';

/** RFC 4253 §6.6. */
export interface SshSignature {
  readonly format: string;
  readonly blob: Uint8Array;
}

interface Format {
  readonly keyType: SshKeyType;
  readonly hash: string | null;
}

/** RFC 8709, RFC 5656 §3.1.2, RFC 8332 §3. */
const FORMATS: ReadonlyMap<string, Format> = new Map([
  ['ssh-ed25519', { keyType: 'ssh-ed25519', hash: null }],
  ['ecdsa-sha2-nistp256', { keyType: 'ecdsa-sha2-nistp256', hash: 'sha256' }],
  ['ecdsa-sha2-nistp384', { keyType: 'ecdsa-sha2-nistp384', hash: 'sha384' }],
  ['ecdsa-sha2-nistp521', { keyType: 'ecdsa-sha2-nistp521', hash: 'sha512' }],
  ['rsa-sha2-256', { keyType: 'ssh-rsa', hash: 'sha256' }],
  ['rsa-sha2-512', { keyType: 'ssh-rsa', hash: 'sha512' }],
]);
/** With SHA-1; RFC 4253 §6.6. */
const SHA1: readonly [string, Format] = ['ssh-rsa', { keyType: 'ssh-rsa', hash: 'sha1' }];
const WITH_SHA1: ReadonlyMap<string, Format> = new Map([...FORMATS, SHA1]);

/** Why the key did not sign the data; undefined: it did. `allowSha1`: with RSA too; default false. */
export function findSignatureFault(
  { type, key }: SshPublicKey,
  data: Uint8Array,
  { format: name, blob }: SshSignature,
  { allowSha1 = false }: { readonly allowSha1?: boolean } = {},
): string | undefined {
  const format = (allowSha1 ? WITH_SHA1 : FORMATS).get(name);
  if (format === undefined)
    return `its signature is of the kind ${JSON.stringify(name)}, which is not accepted`;
  if (format.keyType !== type) return `its signature is of the kind ${name}, its key ${type}`;
  return isSigned(key, type, data, format, blob) ? undefined : 'its signature is not of that key';
}

function isSigned(
  key: KeyObject,
  type: SshKeyType,
  data: Uint8Array,
  { hash }: Format,
  blob: Uint8Array,
): boolean {
  try {
    if (type === 'ssh-ed25519' || type === 'ssh-rsa') return verify(hash, data, key, blob);
    const reader = new SshReader(blob, 'a signature');
    const { bytes } = ecCurves[type];
    const pair = Buffer.concat(
      ['r', 's'].map((name) => padded(reader.positive(name, bytes), bytes)),
    );
    reader.finish();
    return verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, pair);
  } catch {
    // Numbers that are malformed or out of range.
    return false;
  }
}

/** RSA signs with SHA-512. */
export function signSsh(key: KeyObject, type: SshKeyType, data: Uint8Array): SshSignature {
  const format = type === 'ssh-rsa' ? 'rsa-sha2-512' : type;
  const hash = FORMATS.get(format)?.hash ?? null;
  if (type === 'ssh-ed25519' || type === 'ssh-rsa') return { format, blob: sign(hash, data, key) };
  const pair = sign(hash, data, { key, dsaEncoding: 'ieee-p1363' });
  const half = pair.length / 2;
  const numbers = [pair.subarray(0, half), pair.subarray(half)];
  return { format, blob: Buffer.concat(numbers.map(sshPositive)) };
}

function padded(number: Uint8Array, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes.set(number, size - number.length);
  return bytes;
}
