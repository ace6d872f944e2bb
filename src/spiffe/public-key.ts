import { TrustplaneError } from './errors.ts';
import { type KeyAlgorithm, keyAlgorithmFault, parseKeyAlgorithm } from './key-algorithm.ts';

export type PublicKeyType = 'ec-p256' | 'ec-p384' | 'rsa';

/** A public key of a type and size that SVIDs may have. */
export interface PublicKeyInfo {
  readonly type: PublicKeyType;
  /** The content of subjectPublicKey, of which key identifiers are hashes. */
  readonly keyBits: Uint8Array;
}

const MAX_RSA_BITS = 4096;

/**
 * Parses the SubjectPublicKeyInfo (DER) of a key that an SVID is asked for: EC P-256 or P-384, or RSA
 * of 2048 to 4096 bits. That an EC point is on its curve is left to the cryptography library.
 * @throws TrustplaneError ERR_DER, ERR_PUBLIC_KEY
 */
export function parsePublicKey(spki: Uint8Array): PublicKeyInfo {
  const algorithm = parseKeyAlgorithm(spki);
  const fault = keyAlgorithmFault(algorithm);
  if (fault !== undefined) throw refused(fault);
  return { type: publicKeyType(algorithm), keyBits: algorithm.keyBits };
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
