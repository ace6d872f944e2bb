import { constructedContextTag, contextTag, derTags } from './der-reader.ts';
import { TrustplaneError } from './errors.ts';

const MAX_CONTENT_BYTES = 0xff_ffff;
const FIRST_UTC_TIME_YEAR = 1950;
const FIRST_GENERALIZED_TIME_YEAR = 2050;
const LAST_YEAR = 9999;
const ASCII_ZERO = 0x30;
const ASCII_Z = 0x5a;
const PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]*$/u;
const encoder = new TextEncoder();

/**
 * One element: tag, definite length in minimal form, the parts joined as content (X.690 §10.1).
 * Content is at most 16 MiB. The bytes lie in Buffer's pool, which makes certificates twice as
 * fast; what is kept is copied out of it with `new Uint8Array(bytes)`.
 */
export function writeDer(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const lengthOctets = octetsAfterFirst(length);
  const element: Uint8Array = Buffer.allocUnsafe(2 + lengthOctets + length);
  element[0] = tag;
  element[1] = lengthOctets === 0 ? length : 0x80 | lengthOctets;
  for (let index = 0; index < lengthOctets; index++) {
    element[2 + index] = length >>> (8 * (lengthOctets - 1 - index));
  }
  let offset = 2 + lengthOctets;
  for (const part of parts) {
    element.set(part, offset);
    offset += part.length;
  }
  return element;
}

function octetsAfterFirst(length: number): number {
  if (length < 0x80) return 0;
  if (length < 0x100) return 1;
  if (length < 0x1_0000) return 2;
  if (length <= MAX_CONTENT_BYTES) return 3;
  throw new TrustplaneError('ERR_DER', `DER content has ${length} bytes; at most 16777215`);
}

export const writeSequence = (...parts: readonly Uint8Array[]): Uint8Array =>
  writeDer(derTags.sequence, ...parts);

/** A SET OF one element; more would need the ordering of X.690 §11.6. */
export const writeSetOfOne = (part: Uint8Array): Uint8Array => writeDer(derTags.set, part);

export const writeOctetString = (...parts: readonly Uint8Array[]): Uint8Array =>
  writeDer(derTags.octetString, ...parts);

/** `[number] EXPLICIT`, or an implicit constructed type. */
export const writeConstructed = (number: number, ...parts: readonly Uint8Array[]): Uint8Array =>
  writeDer(constructedContextTag(number), ...parts);

/** `[number] IMPLICIT` of a primitive type. */
export const writePrimitive = (number: number, content: Uint8Array): Uint8Array =>
  writeDer(contextTag(number), content);

export const writeNull = (): Uint8Array => writeDer(derTags.null);

/** TRUE; FALSE is the default wherever X.509 has a BOOLEAN, and DER leaves defaults out. */
export const writeTrue = (): Uint8Array => writeDer(derTags.boolean, Uint8Array.of(0xff));

/** An INTEGER from unsigned big-endian octets (empty: 0). */
export function writeUnsignedInteger(magnitude: Uint8Array): Uint8Array {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++;
  const content = magnitude.subarray(start);
  const needsZero = content.length === 0 || (content[0] ?? 0) >= 0x80;
  return needsZero
    ? writeDer(derTags.integer, Uint8Array.of(0), content)
    : writeDer(derTags.integer, content);
}

/** A BIT STRING of whole octets. */
export const writeBitString = (bytes: Uint8Array): Uint8Array =>
  writeDer(derTags.bitString, Uint8Array.of(0), bytes);

/** A named-bit-list BIT STRING without trailing zero bits (X.690 §11.2.2); bits 0 to 7, at least one. */
export function writeNamedBits(...bits: readonly number[]): Uint8Array {
  const octet = bits.reduce((octet, bit) => octet | (0x80 >> bit), 0);
  return writeDer(derTags.bitString, Uint8Array.of(7 - Math.max(...bits), octet));
}

/** An OBJECT IDENTIFIER from its dotted form, which the caller knows to be right. */
export function writeOid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return writeDer(
    derTags.oid,
    Uint8Array.from([first * 40 + second, ...rest].flatMap((arc) => base128(arc))),
  );
}

function base128(arc: number): number[] {
  const octets = [arc & 0x7f];
  for (let left = arc >>> 7; left > 0; left >>>= 7) octets.unshift(0x80 | (left & 0x7f));
  return octets;
}

/** A DirectoryString as RFC 5280 §4.1.2.4 prefers it: PrintableString where the text allows, else UTF8String. */
export function writeDirectoryString(text: string): Uint8Array {
  const tag = PRINTABLE.test(text) ? derTags.printableString : derTags.utf8String;
  return writeDer(tag, encoder.encode(text));
}

/** Octets of a text that is ASCII by construction, such as a SPIFFE ID or a DNS name. */
export const asciiBytes = (text: string): Uint8Array => encoder.encode(text);

/**
 * A Time to the second, fractions cut off: UTCTime through 2049, GeneralizedTime from 2050
 * (RFC 5280 §4.1.2.5). `instant` is in milliseconds since the epoch, from 1950 to 9999.
 */
export function writeTime(instant: number): Uint8Array {
  const date = new Date(instant);
  const year = date.getUTCFullYear();
  if (!(year >= FIRST_UTC_TIME_YEAR && year <= LAST_YEAR)) {
    throw new TrustplaneError('ERR_DER', `an X.509 time is from 1950 to 9999; got year ${year}`);
  }
  const isGeneralized = year >= FIRST_GENERALIZED_TIME_YEAR;
  const pairs = [
    year % 100,
    date.getUTCMonth() + 1,
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
  ];
  if (isGeneralized) pairs.unshift(Math.floor(year / 100));
  const text = new Uint8Array(pairs.length * 2 + 1);
  let offset = 0;
  for (const pair of pairs) {
    text[offset++] = ASCII_ZERO + Math.floor(pair / 10);
    text[offset++] = ASCII_ZERO + (pair % 10);
  }
  text[offset] = ASCII_Z;
  return writeDer(isGeneralized ? derTags.generalizedTime : derTags.utcTime, text);
}
