import { writeBitString, writeNull, writeOid, writeSequence } from '../spiffe/index.ts';
import type { KeyType } from './key-manager.ts';

const rsaSha256 = writeSequence(writeOid('1.2.840.113549.1.1.11'), writeNull());

/** AlgorithmIdentifier of what `SigningKey.sign` makes. */
export const signatureAlgorithms: Readonly<Record<KeyType, Uint8Array>> = {
  'ec-p256': writeSequence(writeOid('1.2.840.10045.4.3.2')),
  'ec-p384': writeSequence(writeOid('1.2.840.10045.4.3.3')),
  'rsa-2048': rsaSha256,
  'rsa-4096': rsaSha256,
};

/** A certificate (DER) of its signed part and the signature `SigningKey.sign` made of it. */
export function assembleCertificate(
  tbs: Uint8Array,
  keyType: KeyType,
  signature: Uint8Array,
): Uint8Array {
  const algorithm = signatureAlgorithms[keyType];
  return new Uint8Array(writeSequence(tbs, algorithm, writeBitString(signature)));
}
