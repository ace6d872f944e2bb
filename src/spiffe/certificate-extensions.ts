import {
  constructedContextTag,
  contextTag,
  type DerElement,
  DerReader,
  derContent,
  derError,
  derTags,
} from './der-reader.ts';
import { derBoolean, derNamedBits, derOid, derSmallInteger } from './der-values.ts';
import { type GeneralName, parseGeneralName, parseGeneralNames } from './general-name.ts';

/** Extended key usages by their usual names (RFC 5280 §4.2.1.12). */
export const keyPurposes = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  any: '2.5.29.37.0',
} as const;

/** Bits of the key usage extension, by position (RFC 5280 §4.2.1.3). */
const KEY_USAGES = [
  'digitalSignature',
  'contentCommitment',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;
type KeyUsageName = (typeof KEY_USAGES)[number];

/** The names below a CA that are permitted or excluded (RFC 5280 §4.2.1.10). */
export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

/** The extensions that are understood; undefined where absent. */
export interface CertificateExtensions {
  readonly basicConstraints:
    | { readonly isCa: boolean; readonly pathLength: number | undefined }
    | undefined;
  readonly keyUsage:
    | { readonly isCritical: boolean; readonly names: ReadonlySet<KeyUsageName> }
    | undefined;
  /** Purposes as dotted OIDs. */
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly subjectAltName:
    | { readonly isCritical: boolean; readonly names: readonly GeneralName[] }
    | undefined;
  readonly nameConstraints: NameConstraints | undefined;
  readonly subjectKeyId: Uint8Array | undefined;
  readonly authorityKeyId: Uint8Array | undefined;
  /** Every extension by dotted OID; the value is the content of its OCTET STRING. */
  readonly all: ReadonlyMap<string, RawExtension>;
  /** Critical ones that are not understood, as dotted OIDs. */
  readonly unknownCritical: readonly string[];
}

/** One extension, not interpreted. */
interface RawExtension {
  readonly isCritical: boolean;
  readonly value: Uint8Array;
}

const OIDS = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const;
const UNDERSTOOD: ReadonlySet<string> = new Set(Object.values(OIDS));
const MAX_EXTENSIONS = 64;

/** Parses the Extensions of a certificate; a repeated one is refused. @throws TrustplaneError ERR_DER */
export function parseCertificateExtensions(element: DerElement): CertificateExtensions {
  const all = parseRawExtensions(element);
  const read = <Value>(oid: string, parse: (extension: RawExtension) => Value) => {
    const extension = all.get(oid);
    return extension === undefined ? undefined : parse(extension);
  };
  return {
    basicConstraints: read(OIDS.basicConstraints, parseBasicConstraints),
    keyUsage: read(OIDS.keyUsage, parseKeyUsage),
    extendedKeyUsage: read(OIDS.extendedKeyUsage, parseExtendedKeyUsage),
    subjectAltName: read(OIDS.subjectAltName, ({ isCritical, value }) => ({
      isCritical,
      names: parseGeneralNames(value, 'subject alternative name'),
    })),
    nameConstraints: read(OIDS.nameConstraints, parseNameConstraints),
    subjectKeyId: read(OIDS.subjectKeyId, parseSubjectKeyId),
    authorityKeyId: read(OIDS.authorityKeyId, parseAuthorityKeyId),
    all,
    unknownCritical: unknownCriticalOf(all),
  };
}

function parseRawExtensions(element: DerElement): ReadonlyMap<string, RawExtension> {
  const all = new Map<string, RawExtension>();
  const list = DerReader.inside(element, 'extensions').enter('extensions');
  do {
    const extension = list.enter('extension');
    const oidElement = extension.expect(derTags.oid, 'extension id');
    const oid = derOid(oidElement, 'extension id');
    const critical = extension.optional(derTags.boolean, 'extension criticality');
    // The default, false, is never written in DER; many issuers do so all the same.
    const isCritical = critical !== undefined && derBoolean(critical, 'extension criticality');
    const value = derContent(extension.expect(derTags.octetString, 'extension value'));
    extension.finish('extension');
    if (all.has(oid)) throw derError(oidElement, 'extension id', `${oid} comes twice`);
    if (all.size === MAX_EXTENSIONS) {
      throw derError(oidElement, 'extensions', `number over ${MAX_EXTENSIONS}`);
    }
    all.set(oid, { isCritical, value });
  } while (!list.atEnd);
  return all;
}

function unknownCriticalOf(all: ReadonlyMap<string, RawExtension>): string[] {
  const unknown: string[] = [];
  for (const [oid, { isCritical }] of all) {
    if (isCritical && !UNDERSTOOD.has(oid)) unknown.push(oid);
  }
  return unknown;
}

function parseBasicConstraints({ value }: RawExtension): CertificateExtensions['basicConstraints'] {
  const outer = DerReader.of(value);
  const sequence = outer.enter('basic constraints');
  const ca = sequence.optional(derTags.boolean, 'cA');
  const isCa = ca !== undefined && derBoolean(ca, 'cA');
  const length = sequence.optional(derTags.integer, 'path length');
  const pathLength = length === undefined ? undefined : derSmallInteger(length, 'path length');
  sequence.finish('basic constraints');
  outer.finish('basic constraints');
  if (!isCa && length !== undefined) throw derError(length, 'path length', 'stands without cA');
  return { isCa, pathLength };
}

function parseKeyUsage(extension: RawExtension): CertificateExtensions['keyUsage'] {
  const outer = DerReader.of(extension.value);
  const bits = derNamedBits(outer.expect(derTags.bitString, 'key usage'), 'key usage');
  outer.finish('key usage');
  const names = new Set(KEY_USAGES.filter((_, bit) => bits.has(bit)));
  return { isCritical: extension.isCritical, names };
}

function parseExtendedKeyUsage({ value }: RawExtension): string[] {
  const outer = DerReader.of(value);
  const purposes: string[] = [];
  const sequence = outer.enter('extended key usage');
  do {
    const purpose = sequence.expect(derTags.oid, 'key purpose');
    purposes.push(derOid(purpose, 'key purpose'));
  } while (!sequence.atEnd);
  outer.finish('extended key usage');
  return purposes;
}

function parseSubjectKeyId({ value }: RawExtension): Uint8Array {
  const outer = DerReader.of(value);
  const id = outer.expect(derTags.octetString, 'subject key id');
  outer.finish('subject key id');
  return derContent(id);
}

function parseAuthorityKeyId({ value }: RawExtension): Uint8Array | undefined {
  const outer = DerReader.of(value);
  const sequence = outer.enter('authority key id');
  const id = sequence.optional(contextTag(0), 'authority key id');
  sequence.optional(constructedContextTag(1), 'authority issuer');
  sequence.optional(contextTag(2), 'authority serial number');
  sequence.finish('authority key id');
  outer.finish('authority key id');
  return id === undefined ? undefined : derContent(id);
}

function parseNameConstraints({ value }: RawExtension): NameConstraints {
  const outer = DerReader.of(value);
  const sequence = outer.enter('name constraints');
  const permitted = sequence.optional(constructedContextTag(0), 'permitted subtrees');
  const excluded = sequence.optional(constructedContextTag(1), 'excluded subtrees');
  sequence.finish('name constraints');
  outer.finish('name constraints');
  return { permitted: parseSubtrees(permitted), excluded: parseSubtrees(excluded) };
}

/** `minimum` is always 0, which DER leaves out, and `maximum` is always absent (RFC 5280 §4.2.1.10). */
function parseSubtrees(element: DerElement | undefined): GeneralName[] {
  if (element === undefined) return [];
  const names: GeneralName[] = [];
  const subtrees = DerReader.inside(element, 'subtrees');
  do {
    const subtree = subtrees.enter('subtree');
    names.push(parseGeneralName(subtree.read('subtree base'), 'subtree base'));
    subtree.finish('subtree');
  } while (!subtrees.atEnd);
  return names;
}
