import { parseCertificateExtensions } from './certificate-extensions.ts';
import {
  constructedContextTag,
  type DerElement,
  DerReader,
  derContent,
  derEncoded,
  derError,
  derTags,
} from './der-reader.ts';
import { derBitStringBytes, derIntegerBytes, derOid, derTime } from './der-values.ts';
import { type DistinguishedName, parseDistinguishedName } from './distinguished-name.ts';
import { messageOf, TrustplaneError } from './errors.ts';

/** A certificate revocation list, v2 (RFC 5280 §5), parsed but not verified. Views into `der`. */
export interface Crl {
  readonly der: Uint8Array;
  /** The signed part. */
  readonly tbs: Uint8Array;
  /** Dotted OID; the same inside and outside the signed part. */
  readonly signatureAlgorithm: string;
  readonly signature: Uint8Array;
  readonly issuer: DistinguishedName;
  /** Key identifier of who signed it, lower-case hex: the authority's ID. */
  readonly authorityId: string;
  /** Rises from one to the next of an authority. */
  readonly number: bigint;
  /** Milliseconds since the epoch. */
  readonly thisUpdate: number;
  /** Milliseconds since the epoch; from then on those who check refuse everything. */
  readonly nextUpdate: number;
  /** How many certificates it names. */
  readonly count: number;
  /** The entries as they stand there, DER. */
  readonly revoked: Uint8Array;
}

/** What a CRL may be in all, and those of a trust domain together: a client takes 4 MB at most, for everything. */
export const crlLimits = { bytes: 500_000, entries: 5_000, bytesInAll: 1_000_000 } as const;

const MAX_INTEGER_BYTES = 20;
const VERSION_2 = 1;
const CRL_NUMBER = '2.5.29.20';

/**
 * Parses one DER CRL, with nothing behind it: v2, of all that its authority signed, with a next update, an
 * authority key identifier and a number.
 * @throws TrustplaneError ERR_CRL
 */
export function parseCrl(der: Uint8Array): Crl {
  try {
    return readCrl(der);
  } catch (error) {
    throw new TrustplaneError('ERR_CRL', `not a CRL: ${messageOf(error)}`, { cause: error });
  }
}

function readCrl(der: Uint8Array): Crl {
  const outer = DerReader.of(der, crlLimits.bytes);
  const list = outer.enter('CRL');
  const tbs = list.expect(derTags.sequence, 'signed part');
  const algorithm = list.expect(derTags.sequence, 'signature algorithm');
  const signature = list.expect(derTags.bitString, 'signature');
  list.finish('CRL');
  outer.finish('CRL');
  return {
    der,
    tbs: derEncoded(tbs),
    signatureAlgorithm: readAlgorithm(algorithm),
    signature: derBitStringBytes(signature, 'signature'),
    ...readSignedPart(DerReader.inside(tbs, 'signed part'), algorithm),
  };
}

type SignedPart = Omit<Crl, 'der' | 'tbs' | 'signatureAlgorithm' | 'signature'>;

function readSignedPart(tbs: DerReader, outerAlgorithm: DerElement): SignedPart {
  const version = tbs.expect(derTags.integer, 'version');
  if (readInteger(version, 'version') !== BigInt(VERSION_2)) {
    throw derError(version, 'version', 'is not v2');
  }
  const algorithm = tbs.expect(derTags.sequence, 'signature algorithm');
  if (Buffer.compare(derEncoded(algorithm), derEncoded(outerAlgorithm)) !== 0) {
    throw derError(outerAlgorithm, 'signature algorithm', 'differs from the signed one');
  }
  const issuer = parseDistinguishedName(tbs.expect(derTags.sequence, 'issuer'), 'issuer');
  const thisUpdate = derTime(tbs.read('thisUpdate'), 'thisUpdate');
  const nextUpdate = derTime(tbs.read('nextUpdate'), 'nextUpdate');
  const revoked = tbs.optional(derTags.sequence, 'revoked certificates');
  const extensions = tbs.expect(constructedContextTag(0), 'extensions');
  tbs.finish('signed part');
  return {
    issuer,
    thisUpdate,
    nextUpdate,
    count: revoked === undefined ? 0 : countEntries(revoked),
    revoked: revoked === undefined ? new Uint8Array() : derContent(revoked),
    ...readExtensions(extensions),
  };
}

/** An empty list is left out. */
function countEntries(element: DerElement): number {
  const entries = DerReader.inside(element, 'revoked certificates');
  let count = 0;
  do {
    const entry = entries.enter('revoked certificate');
    readInteger(entry.expect(derTags.integer, 'serial number'), 'serial number');
    derTime(entry.read('revocation date'), 'revocation date');
    entry.optional(derTags.sequence, 'entry extensions');
    entry.finish('revoked certificate');
    if (++count > crlLimits.entries) {
      throw derError(element, 'revoked certificates', `number over ${crlLimits.entries}`);
    }
  } while (!entries.atEnd);
  return count;
}

/** One that is critical and not known says that the list is of a part alone, or a change to another. */
function readExtensions(element: DerElement): Pick<Crl, 'authorityId' | 'number'> {
  const { authorityKeyId, all, unknownCritical } = parseCertificateExtensions(element);
  const number = all.get(CRL_NUMBER);
  if (authorityKeyId === undefined || number === undefined) {
    throw derError(element, 'extensions', 'lack the authority key identifier or the number');
  }
  if (unknownCritical.length > 0) {
    throw derError(element, 'extensions', `are critical and not known: ${unknownCritical.join()}`);
  }
  const reader = DerReader.of(number.value);
  const value = readInteger(reader.expect(derTags.integer, 'CRL number'), 'CRL number');
  reader.finish('CRL number');
  return { authorityId: Buffer.from(authorityKeyId).toString('hex'), number: value };
}

function readInteger(element: DerElement, what: string): bigint {
  const content = derIntegerBytes(element, what);
  if (content.length > MAX_INTEGER_BYTES || (content[0] ?? 0) >= 0x80) {
    throw derError(element, what, `is negative or over ${MAX_INTEGER_BYTES} octets`);
  }
  return BigInt(`0x${Buffer.from(content).toString('hex')}`);
}

function readAlgorithm(element: DerElement): string {
  const algorithm = DerReader.inside(element, 'signature algorithm');
  const oid = derOid(algorithm.expect(derTags.oid, 'signature algorithm'), 'signature algorithm');
  if (!algorithm.atEnd) algorithm.read('signature parameters');
  algorithm.finish('signature algorithm');
  return oid;
}
