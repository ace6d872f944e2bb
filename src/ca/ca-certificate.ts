import { generateKeyPairSync } from 'node:crypto';
import {
  type TrustDomain,
  writeSequence,
  writeTime,
  writeUnsignedInteger,
} from '../spiffe/index.ts';
import {
  keyIdentifier,
  writeAuthorityKeyId,
  writeBasicConstraints,
  writeExtensions,
  writeKeyUsage,
  writeSubjectAltName,
  writeSubjectKeyId,
} from './certificate-extensions.ts';
import { writeName } from './distinguished-name.ts';
import type { SigningKey } from './key-manager.ts';
import { VERSION_3 } from './leaf-template.ts';
import { createSigningKey } from './private-key.ts';
import { createSerialNumbers, type RandomBytes } from './serial-number.ts';
import { assembleCertificate, signatureAlgorithms } from './signature-algorithm.ts';

const ORGANIZATION = 'trustplane';
const THROWAWAY_LIFE_MS = 20 * 365 * 86_400_000;

/** What differs from authority to authority. */
export interface CaFields {
  /** Signs the certificate: the authority's own key, or its issuer's. */
  readonly key: SigningKey;
  /** Unsigned big-endian; it also makes the subject unique. */
  readonly serialNumber: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
  /** Whose ID the certificate carries; none only for a certificate that nothing may match. */
  readonly trustDomain: TrustDomain | undefined;
  /** Of a certificate that is not self-signed. */
  readonly issued?: {
    /** SubjectPublicKeyInfo DER. */
    readonly publicKey: Uint8Array;
    /** DER of the issuer's subject. */
    readonly issuerName: Uint8Array;
    readonly issuerKeyId: Uint8Array;
    readonly pathLength: number;
  };
}

/**
 * Writes and signs a CA certificate (X509-SVID §3.2, §4), self-signed by default: key usage keyCertSign
 * and cRLSign, cA, SKI, AKI, the trust domain's ID as the only SAN, no extended key usage.
 */
export async function writeCaCertificate(fields: CaFields): Promise<Uint8Array> {
  const tbs = buildCaTbs(fields);
  return assembleCertificate(tbs, fields.key.keyType, await fields.key.sign(tbs));
}

/** What is signed of a CA certificate. */
export function buildCaTbs(fields: CaFields): Uint8Array {
  const { key, issued } = fields;
  const name = caName(fields.serialNumber);
  const publicKey = issued?.publicKey ?? key.publicKey;
  const keyId = keyIdentifier(publicKey);
  const extensions = [
    writeKeyUsage(['keyCertSign', 'crlSign']),
    writeBasicConstraints(true, issued?.pathLength),
    writeSubjectKeyId(keyId),
    writeAuthorityKeyId(issued?.issuerKeyId ?? keyId),
  ];
  if (fields.trustDomain !== undefined) {
    extensions.push(writeSubjectAltName(fields.trustDomain.id, [], false));
  }
  return writeSequence(
    VERSION_3,
    writeUnsignedInteger(fields.serialNumber),
    signatureAlgorithms[key.keyType],
    issued?.issuerName ?? name,
    writeSequence(writeTime(fields.notBefore), writeTime(fields.notAfter)),
    name,
    publicKey,
    writeExtensions(...extensions),
  );
}

/** Unique, because the serial number is. */
function caName(serialNumber: Uint8Array): Uint8Array {
  return writeName([
    { type: 'organization', value: ORGANIZATION },
    { type: 'serialNumber', value: Buffer.from(serialNumber).toString('hex') },
  ]);
}

/**
 * A CA certificate (DER) whose key is gone once this returns: trusting it trusts nothing. Valid for
 * 20 years.
 */
export function createThrowawayCa(now: number, random: RandomBytes): Uint8Array {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = createSigningKey('throwaway', 'ec-p256', privateKey);
  const tbs = buildCaTbs({
    key,
    serialNumber: createSerialNumbers(random)(now),
    notBefore: now,
    notAfter: now + THROWAWAY_LIFE_MS,
    trustDomain: undefined,
  });
  return assembleCertificate(tbs, key.keyType, key.signNow(tbs));
}
