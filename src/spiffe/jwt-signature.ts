import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { TokenAuthority } from './bundle.ts';
import { type KeyAlgorithm, keyAlgorithmFault, parseKeyAlgorithm } from './key-algorithm.ts';

interface Algorithm {
  readonly hash: 'sha256' | 'sha384' | 'sha512';
  /** The kind of key it goes with, or the curve (RFC 7518 §3.1). */
  readonly key: 'rsa' | 'P-256' | 'P-384' | 'P-521';
  /** Bytes of an ECDSA signature, r and s; of RSA the key says. */
  readonly bytes?: number;
  readonly isPss?: true;
}

/** The nine that a JWT-SVID may be signed with (JWT-SVID §2.1); names are case-sensitive. */
export const jwtAlgorithms: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ['RS256', { hash: 'sha256', key: 'rsa' }],
  ['RS384', { hash: 'sha384', key: 'rsa' }],
  ['RS512', { hash: 'sha512', key: 'rsa' }],
  ['ES256', { hash: 'sha256', key: 'P-256', bytes: 64 }],
  ['ES384', { hash: 'sha384', key: 'P-384', bytes: 96 }],
  ['ES512', { hash: 'sha512', key: 'P-521', bytes: 132 }],
  ['PS256', { hash: 'sha256', key: 'rsa', isPss: true }],
  ['PS384', { hash: 'sha384', key: 'rsa', isPss: true }],
  ['PS512', { hash: 'sha512', key: 'rsa', isPss: true }],
]);

interface VerifyingKey {
  readonly key: KeyObject;
  readonly algorithm: KeyAlgorithm;
}

/** The part of an authority that verifies. */
type Verifier = Pick<TokenAuthority, 'publicKey'>;

const keys = new WeakMap<Verifier, VerifyingKey | undefined>();

/** True when the key of `authority` is of the kind that `alg` wants. */
export function fitsAlgorithm(authority: Verifier, alg: string): boolean {
  const algorithm = keyOf(authority)?.algorithm;
  const wanted = jwtAlgorithms.get(alg)?.key;
  if (algorithm === undefined || wanted === undefined) return false;
  return algorithm.kind === 'ec' ? algorithm.curve === wanted : algorithm.kind === wanted;
}

/** True when `authority` signed `input`, the first two parts of the token and the dot between them. */
export function isSignedWith(
  authority: Verifier,
  alg: string,
  input: string,
  signature: Uint8Array,
): boolean {
  const algorithm = jwtAlgorithms.get(alg);
  const key = keyOf(authority)?.key;
  if (algorithm === undefined || key === undefined || !fitsAlgorithm(authority, alg)) return false;
  const { hash, bytes, isPss } = algorithm;
  if (bytes !== undefined && signature.length !== bytes) return false;
  const data = Buffer.from(input, 'latin1');
  if (bytes !== undefined) return verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature);
  if (isPss === undefined) return verify(hash, data, key, signature);
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  return verify(
    hash,
    data,
    { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
    signature,
  );
}

/** Undefined for a key that is not used to verify anything. */
function keyOf(authority: Verifier): VerifyingKey | undefined {
  if (!keys.has(authority)) keys.set(authority, readKey(authority));
  return keys.get(authority);
}

function readKey({ publicKey }: Verifier): VerifyingKey | undefined {
  try {
    const algorithm = parseKeyAlgorithm(publicKey);
    if (keyAlgorithmFault(algorithm) !== undefined) return undefined;
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
    return { key, algorithm };
  } catch {
    return undefined;
  }
}
