import { TrustplaneError } from './errors.ts';
import { type KeyAlgorithm, keyAlgorithmFault, parseKeyAlgorithm } from './key-algorithm.ts';

export type PublicKeyType = 'ec-p256' | 'ec-p384' | 'rsa';

/** A public key of a type and size that SVIDs may have. */
export interface PublicKeyInfo {
  readonly type: PublicKeyType;
  /** The content of subjectPublicKey, of which key identifiers are hashes. */
  readonly keyBits: Uint8Array;
}

/** SubjectPublicKeyInfo of a P-256 key up to its uncompressed point (RFC 5480). */
export const P256_SPKI_HEAD: Uint8Array = Uint8Array.from(
  Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex'),
);
export const P256_POINT_BYTES = 65;
export const UNCOMPRESSED_POINT = 4;
const MAX_RSA_BITS = 4096;

/**
 * Parses the SubjectPublicKeyInfo (DER) of a key that an SVID is asked for: EC P-256 or P-384, or RSA
 * of 2048 to 4096 bits. That an EC point is on its curve is left to the cryptography library.
 * @throws TrustplaneError ERR_DER, ERR_PUBLIC_KEY
 */
export function parsePublicKey(spki: Uint8Array): PublicKeyInfo {
  if (isP256(spki)) return { type: 'ec-p256', keyBits: spki.subarray(P256_SPKI_HEAD.length) };
  const algorithm = parseKeyAlgorithm(spki);
  const fault = keyAlgorithmFault(algorithm);
  if (fault !== undefined) throw refused(fault);
  return { type: publicKeyType(algorithm), keyBits: algorithm.keyBits };
}

/** The usual case at sight: a P-256 key with an uncompressed point has no other encoding. */
function isP256(spki: Uint8Array): boolean {
  const head = P256_SPKI_HEAD.length;
  if (spki.length !== head + P256_POINT_BYTES || spki[head] !== UNCOMPRESSED_POINT) return false;
  return P256_SPKI_HEAD.every((octet, index) => octet === spki[index]);
}

function publicKeyType(algorithm: KeyAlgorithm): PublicKeyType {
  if (algorithm.kind === 'ec' && algorithm.curve === 'P-256') return 'ec-p256';
  if (algorithm.kind === 'ec' && algorithm.curve === 'P-384') return 'ec-p384';
  if (algorithm.kind === 'rsa' && algorithm.modulusBits <= MAX_RSA_BITS) return 'rsa';
  throw refused(algorithm.kind === 'rsa' ? `an RSA key of ${algorithm.modulusBits} bits` : 'P-521');
}

function refused(got: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_PUBLIC_KEY',
    `a key is EC P-256, EC P-384 or RSA of 2048 to ${MAX_RSA_BITS} bits; got ${got}`,
  );
}
