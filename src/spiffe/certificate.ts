import {
  type CertificateExtensions,
  type NameConstraints,
  parseCertificateExtensions,
} from './certificate-extensions.ts';
import {
  constructedContextTag,
  type DerElement,
  DerReader,
  derEncoded,
  derError,
  derTags,
} from './der-reader.ts';
import { derBitStringBytes, derIntegerBytes, derOid, derTime } from './der-values.ts';
import { type DistinguishedName, parseDistinguishedName } from './distinguished-name.ts';
import { TrustplaneError } from './errors.ts';
import { type GeneralName, generalNameTypes } from './general-name.ts';
import { type KeyAlgorithm, parseKeyAlgorithm } from './key-algorithm.ts';

/** An X.509 v3 certificate (RFC 5280 §4.1), parsed but not verified. Views into `der`. */
export interface Certificate {
  readonly der: Uint8Array;
  /** The signed part. */
  readonly tbs: Uint8Array;
  /** Dotted OID; the same inside and outside the signed part. */
  readonly signatureAlgorithm: string;
  readonly signature: Uint8Array;
  /** Lower-case hex without sign octet. */
  readonly serialNumber: string;
  readonly issuer: DistinguishedName;
  readonly subject: DistinguishedName;
  /** Milliseconds since the epoch; valid from this instant on. */
  readonly notBefore: number;
  /** Milliseconds since the epoch; valid through this second. */
  readonly notAfter: number;
  /** SubjectPublicKeyInfo DER. */
  readonly publicKey: Uint8Array;
  readonly keyAlgorithm: KeyAlgorithm;
  /** All subject alternative names. */
  readonly names: readonly GeneralName[];
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  readonly isCa: boolean;
  readonly pathLength: number | undefined;
  readonly keyUsage: CertificateExtensions['keyUsage'];
  readonly extendedKeyUsage: readonly string[] | undefined;
  readonly nameConstraints: NameConstraints | undefined;
  readonly subjectKeyId: Uint8Array | undefined;
  readonly authorityKeyId: Uint8Array | undefined;
  readonly extensions: CertificateExtensions['all'];
  readonly unknownCriticalExtensions: readonly string[];
}

const MAX_CERTIFICATE_BYTES = 32 * 1024;
const MAX_SERIAL_BYTES = 20;
const VERSION_3 = 2;
const NO_EXTENSIONS: CertificateExtensions = {
  basicConstraints: undefined,
  keyUsage: undefined,
  extendedKeyUsage: undefined,
  subjectAltName: undefined,
  nameConstraints: undefined,
  subjectKeyId: undefined,
  authorityKeyId: undefined,
  all: new Map(),
  unknownCritical: [],
};

/**
 * Parses one DER certificate of at most 32 KiB, with nothing behind it.
 * @throws TrustplaneError ERR_CERTIFICATE
 */
export function parseCertificate(der: Uint8Array): Certificate {
  try {
    return readCertificate(der);
  } catch (error) {
    if (!(error instanceof TrustplaneError)) throw error;
    throw new TrustplaneError('ERR_CERTIFICATE', `not a certificate: ${error.message}`, {
      cause: error,
    });
  }
}

function readCertificate(der: Uint8Array): Certificate {
  const outer = DerReader.of(der, MAX_CERTIFICATE_BYTES);
  const certificate = outer.enter('certificate');
  const tbs = certificate.expect(derTags.sequence, 'signed part');
  const algorithm = certificate.expect(derTags.sequence, 'signature algorithm');
  const signature = certificate.expect(derTags.bitString, 'signature');
  certificate.finish('certificate');
  outer.finish('certificate');
  return {
    der,
    tbs: derEncoded(tbs),
    signatureAlgorithm: readAlgorithm(DerReader.inside(algorithm, 'signature algorithm')),
    signature: derBitStringBytes(signature, 'signature'),
    ...readSignedPart(DerReader.inside(tbs, 'signed part'), algorithm),
  };
}

type SignedPart = Omit<Certificate, 'der' | 'tbs' | 'signatureAlgorithm' | 'signature'>;

function readSignedPart(tbs: DerReader, outerAlgorithm: DerElement): SignedPart {
  readVersion(tbs);
  const serialNumber = readSerialNumber(tbs);
  const algorithm = tbs.expect(derTags.sequence, 'signature algorithm');
  if (!sameBytes(derEncoded(algorithm), derEncoded(outerAlgorithm))) {
    throw derError(outerAlgorithm, 'signature algorithm', 'differs from the signed one');
  }
  const issuer = parseDistinguishedName(tbs.expect(derTags.sequence, 'issuer'), 'issuer');
  const validity = readValidity(tbs.enter('validity'));
  const subject = parseDistinguishedName(tbs.expect(derTags.sequence, 'subject'), 'subject');
  const publicKey = derEncoded(tbs.expect(derTags.sequence, 'public key'));
  const extensions = tbs.optional(constructedContextTag(3), 'extensions');
  tbs.finish('signed part');
  return {
    serialNumber,
    issuer,
    subject,
    ...validity,
    publicKey,
    keyAlgorithm: parseKeyAlgorithm(publicKey),
    ...fieldsOf(extensions === undefined ? NO_EXTENSIONS : parseCertificateExtensions(extensions)),
  };
}

function readValidity(validity: DerReader): Pick<Certificate, 'notBefore' | 'notAfter'> {
  const notBefore = derTime(validity.read('notBefore'), 'notBefore');
  const notAfter = derTime(validity.read('notAfter'), 'notAfter');
  validity.finish('validity');
  return { notBefore, notAfter };
}

function readVersion(tbs: DerReader): void {
  const explicit = tbs.enter('version', constructedContextTag(0));
  const element = explicit.expect(derTags.integer, 'version');
  explicit.finish('version');
  const content = derIntegerBytes(element, 'version');
  if (content.length !== 1 || content[0] !== VERSION_3) {
    throw derError(element, 'version', 'is not v3');
  }
}

function readSerialNumber(tbs: DerReader): string {
  const element = tbs.expect(derTags.integer, 'serial number');
  const content = derIntegerBytes(element, 'serial number');
  if (content.length > MAX_SERIAL_BYTES || (content[0] ?? 0) >= 0x80) {
    throw derError(element, 'serial number', `is negative or over ${MAX_SERIAL_BYTES} octets`);
  }
  const magnitude = content.length > 1 && content[0] === 0 ? content.subarray(1) : content;
  return Buffer.from(magnitude).toString('hex');
}

/** Parameters are not interpreted: the algorithms that are accepted have none. */
function readAlgorithm(algorithm: DerReader): string {
  const oid = derOid(algorithm.expect(derTags.oid, 'signature algorithm'), 'signature algorithm');
  if (!algorithm.atEnd) algorithm.read('signature parameters');
  algorithm.finish('signature algorithm');
  return oid;
}

function fieldsOf(extensions: CertificateExtensions) {
  const names = extensions.subjectAltName?.names ?? [];
  const texts = (type: number) =>
    names.flatMap((name) => (name.type === type && name.text !== undefined ? [name.text] : []));
  return {
    names,
    uriSans: texts(generalNameTypes.uri),
    dnsSans: texts(generalNameTypes.dns),
    isCa: extensions.basicConstraints?.isCa ?? false,
    pathLength: extensions.basicConstraints?.pathLength,
    keyUsage: extensions.keyUsage,
    extendedKeyUsage: extensions.extendedKeyUsage,
    nameConstraints: extensions.nameConstraints,
    subjectKeyId: extensions.subjectKeyId,
    authorityKeyId: extensions.authorityKeyId,
    extensions: extensions.all,
    unknownCriticalExtensions: extensions.unknownCritical,
  };
}

/** True when both hold the same octets. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
