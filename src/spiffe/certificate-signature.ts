import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import { keyAlgorithmFault } from './key-algorithm.ts';

/** Signature algorithms that are accepted, SHA-256 and better, by dotted OID. */
const ALGORITHMS = new Map<string, { readonly kind: 'ec' | 'rsa'; readonly hash: string }>([
  ['1.2.840.10045.4.3.2', { kind: 'ec', hash: 'sha256' }],
  ['1.2.840.10045.4.3.3', { kind: 'ec', hash: 'sha384' }],
  ['1.2.840.10045.4.3.4', { kind: 'ec', hash: 'sha512' }],
  ['1.2.840.113549.1.1.11', { kind: 'rsa', hash: 'sha256' }],
  ['1.2.840.113549.1.1.12', { kind: 'rsa', hash: 'sha384' }],
  ['1.2.840.113549.1.1.13', { kind: 'rsa', hash: 'sha512' }],
]);
const issuerKeys = new WeakMap<Certificate, KeyObject>();

/** Why the key or the signature algorithm of a certificate is not accepted, or undefined. */
export function algorithmFault(certificate: Certificate): string | undefined {
  const keyFault = keyAlgorithmFault(certificate.keyAlgorithm);
  if (keyFault !== undefined || ALGORITHMS.has(certificate.signatureAlgorithm)) return keyFault;
  return `a signature of the unsupported type ${certificate.signatureAlgorithm}`;
}

/** What is signed: a certificate, or a list of them. */
type Signed = Pick<Certificate, 'signatureAlgorithm' | 'tbs' | 'signature'>;

/** True when `issuer` signed it with the kind of key it has; `algorithmFault` found nothing in either. */
export function isSignedBy(signed: Signed, issuer: Certificate): boolean {
  const algorithm = ALGORITHMS.get(signed.signatureAlgorithm);
  if (algorithm === undefined || algorithm.kind !== issuer.keyAlgorithm.kind) return false;
  try {
    return verify(algorithm.hash, signed.tbs, issuerKey(issuer), signed.signature);
  } catch {
    // A point that is not on its curve, or a signature that is no DER.
    return false;
  }
}

function issuerKey(issuer: Certificate): KeyObject {
  const known = issuerKeys.get(issuer);
  if (known !== undefined) return known;
  const key = createPublicKey({ key: Buffer.from(issuer.publicKey), format: 'der', type: 'spki' });
  issuerKeys.set(issuer, key);
  return key;
}
