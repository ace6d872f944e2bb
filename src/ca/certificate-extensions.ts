import { hash } from 'node:crypto';
import {
  asciiBytes,
  parsePublicKey,
  writeDer,
  writeNamedBits,
  writeOctetString,
  writeOid,
  writePrimitive,
  writeSequence,
  writeTrue,
  writeUnsignedInteger,
} from '../spiffe/index.ts';

/** Bits of KeyUsage (RFC 5280 §4.2.1.3). */
const keyUsageBits = {
  digitalSignature: 0,
  keyEncipherment: 2,
  keyAgreement: 4,
  keyCertSign: 5,
  crlSign: 6,
} as const;
export type KeyUsage = keyof typeof keyUsageBits;

const KEY_USAGE = writeOid('2.5.29.15');
const EXTENDED_KEY_USAGE = writeOid('2.5.29.37');
const BASIC_CONSTRAINTS = writeOid('2.5.29.19');
const SUBJECT_KEY_ID = writeOid('2.5.29.14');
const AUTHORITY_KEY_ID = writeOid('2.5.29.35');
const SUBJECT_ALT_NAME = writeOid('2.5.29.17');
const SERVER_AUTH = writeOid('1.3.6.1.5.5.7.3.1');
const CLIENT_AUTH = writeOid('1.3.6.1.5.5.7.3.2');
const TRUE = writeTrue();
const DNS_NAME = 2;
const URI_NAME = 6;
const KEY_ID_BYTES = 20;

function critical(oid: Uint8Array, value: Uint8Array): Uint8Array {
  return writeSequence(oid, TRUE, writeOctetString(value));
}

function plain(oid: Uint8Array, value: Uint8Array): Uint8Array {
  return writeSequence(oid, writeOctetString(value));
}

/** Critical, as every SVID's must be (X509-SVID §4.3). */
export const writeKeyUsage = (usages: readonly KeyUsage[]): Uint8Array =>
  critical(KEY_USAGE, writeNamedBits(...usages.map((usage) => keyUsageBits[usage])));

/** serverAuth and clientAuth. */
export const writeExtendedKeyUsage = (): Uint8Array =>
  plain(EXTENDED_KEY_USAGE, writeSequence(SERVER_AUTH, CLIENT_AUTH));

/** Critical. `pathLength`: how many authorities may stand below a CA; any number by default. */
export function writeBasicConstraints(isCa: boolean, pathLength?: number): Uint8Array {
  if (!isCa) return critical(BASIC_CONSTRAINTS, writeSequence());
  const limit = pathLength === undefined ? [] : [writeUnsignedInteger(Uint8Array.of(pathLength))];
  return critical(BASIC_CONSTRAINTS, writeSequence(TRUE, ...limit));
}

/** The leftmost 160 bits of SHA-256 over the subjectPublicKey bits (RFC 7093 §2, method 1). */
export function keyIdentifier(publicKey: Uint8Array): Uint8Array {
  return hash('sha256', parsePublicKey(publicKey).keyBits, 'buffer').subarray(0, KEY_ID_BYTES);
}

export const writeSubjectKeyId = (keyId: Uint8Array): Uint8Array =>
  plain(SUBJECT_KEY_ID, writeOctetString(keyId));

export const writeAuthorityKeyId = (keyId: Uint8Array): Uint8Array =>
  plain(AUTHORITY_KEY_ID, writeSequence(writePrimitive(0, keyId)));

/** One URI, then DNS names; critical when the subject is empty (RFC 5280 §4.2.1.6). */
export function writeSubjectAltName(
  uri: string,
  dnsNames: readonly string[],
  isCritical: boolean,
): Uint8Array {
  const names = writeSequence(
    writePrimitive(URI_NAME, asciiBytes(uri)),
    ...dnsNames.map((name) => writePrimitive(DNS_NAME, asciiBytes(name))),
  );
  return isCritical ? critical(SUBJECT_ALT_NAME, names) : plain(SUBJECT_ALT_NAME, names);
}

/** `[3] Extensions` of a TBSCertificate. */
export const writeExtensions = (...extensions: readonly Uint8Array[]): Uint8Array =>
  writeDer(0xa3, writeSequence(...extensions));
