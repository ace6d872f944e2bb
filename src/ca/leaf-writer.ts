import { type SpiffeId, writeSequence, writeTime, writeUnsignedInteger } from '../spiffe/index.ts';
import {
  keyIdentifier,
  writeExtensions,
  writeSubjectAltName,
  writeSubjectKeyId,
} from './certificate-extensions.ts';
import { writeName } from './distinguished-name.ts';
import type { LeafTemplate } from './leaf-template.ts';
import { assembleCertificate } from './signature-algorithm.ts';

const MAX_COMMON_NAME = 64;
const EMPTY_NAME_BYTES = 2;

/** What differs from leaf to leaf. */
export interface LeafFields {
  /** Unsigned big-endian, at most 20 octets as an INTEGER. */
  readonly serialNumber: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
  readonly spiffeId: SpiffeId;
  readonly dnsNames: readonly string[];
  /** SubjectPublicKeyInfo DER. */
  readonly publicKey: Uint8Array;
}

/**
 * Writes and signs one X509-SVID (DER): v3, and in this order key usage, extended key usage, basic
 * constraints, SKI, AKI, SAN.
 * @throws TrustplaneError ERR_PUBLIC_KEY, ERR_DER
 */
export async function writeLeaf(template: LeafTemplate, fields: LeafFields): Promise<Uint8Array> {
  const { key } = template;
  const tbs = buildLeafTbs(template, fields);
  return assembleCertificate(tbs, key.keyType, await key.sign(tbs));
}

/** What is signed of a leaf. @throws TrustplaneError ERR_PUBLIC_KEY, ERR_DER */
export function buildLeafTbs(template: LeafTemplate, fields: LeafFields): Uint8Array {
  const subject = subjectOf(template, fields.dnsNames);
  const isSubjectEmpty = subject.length === EMPTY_NAME_BYTES;
  return writeSequence(
    template.version,
    writeUnsignedInteger(fields.serialNumber),
    template.signatureAlgorithm,
    template.issuer,
    writeSequence(writeTime(fields.notBefore), writeTime(fields.notAfter)),
    subject,
    fields.publicKey,
    writeExtensions(
      ...template.usages,
      writeSubjectKeyId(keyIdentifier(fields.publicKey)),
      template.authorityKeyId,
      writeSubjectAltName(fields.spiffeId.toString(), fields.dnsNames, isSubjectEmpty),
    ),
  );
}

function subjectOf(template: LeafTemplate, dnsNames: readonly string[]): Uint8Array {
  const { profile } = template;
  if (profile.commonName === 'none') return template.subject;
  const name = dnsNames.find((name) => name.length <= MAX_COMMON_NAME);
  if (name === undefined) return template.subject;
  return writeName([...profile.subject, { type: 'commonName', value: name }]);
}
