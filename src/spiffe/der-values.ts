import { type DerElement, derContent, derError, derTags } from './der-reader.ts';

const MAX_OID_BYTES = 128;
const UTC_TIME_LENGTH = 13;
const GENERALIZED_TIME_LENGTH = 15;
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The content of an INTEGER in minimal two's complement. @throws TrustplaneError ERR_DER */
export function derIntegerBytes(element: DerElement, what: string): Uint8Array {
  const content = derContent(element);
  const [first, second] = content;
  if (first === undefined) throw derError(element, what, 'is an empty INTEGER');
  if (second !== undefined && (first === 0 ? second < 0x80 : first === 0xff && second >= 0x80)) {
    throw derError(element, what, 'is an INTEGER with needless leading octets');
  }
  return content;
}

/** An INTEGER from 0 to 2^31 - 1. @throws TrustplaneError ERR_DER */
export function derSmallInteger(element: DerElement, what: string): number {
  const content = derIntegerBytes(element, what);
  if (content.length > 4 || (content[0] ?? 0) >= 0x80) {
    throw derError(element, what, 'is not between 0 and 2147483647');
  }
  return content.reduce((value, octet) => value * 256 + octet, 0);
}

/** A BOOLEAN: 0x00 or 0xff (X.690 §11.1). @throws TrustplaneError ERR_DER */
export function derBoolean(element: DerElement, what: string): boolean {
  const content = derContent(element);
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) {
    throw derError(element, what, 'is not a BOOLEAN of 0x00 or 0xff');
  }
  return content[0] === 0xff;
}

/** An OBJECT IDENTIFIER in dotted form. @throws TrustplaneError ERR_DER */
export function derOid(element: DerElement, what: string): string {
  const { bytes, contentStart, end } = element;
  const last = bytes[end - 1] ?? 0;
  if (end === contentStart || end - contentStart > MAX_OID_BYTES || last >= 0x80) {
    throw derError(element, what, 'is a malformed OBJECT IDENTIFIER');
  }
  let text = '';
  let arc = 0;
  let wideArc: bigint | undefined;
  let isArcStart = true;
  for (let offset = contentStart; offset < end; offset++) {
    const octet = bytes[offset] ?? 0;
    if (isArcStart && octet === 0x80) {
      throw derError(element, what, 'is an OBJECT IDENTIFIER with a padded arc');
    }
    if (wideArc !== undefined) wideArc = wideArc * 128n + BigInt(octet & 0x7f);
    else if (arc > 0xffffffffff) wideArc = BigInt(arc) * 128n + BigInt(octet & 0x7f);
    else arc = arc * 128 + (octet & 0x7f);
    isArcStart = octet < 0x80;
    if (!isArcStart) continue;
    text += text === '' ? firstArcs(wideArc ?? arc) : `.${wideArc ?? arc}`;
    arc = 0;
    wideArc = undefined;
  }
  return text;
}

/** The first subidentifier holds two arcs (X.690 §8.19.4). */
function firstArcs(value: number | bigint): string {
  if (value < 40) return `0.${value}`;
  if (value < 80) return `1.${Number(value) - 40}`;
  return `2.${typeof value === 'bigint' ? value - 80n : value - 80}`;
}

/** The octets of a BIT STRING without unused bits. @throws TrustplaneError ERR_DER */
export function derBitStringBytes(element: DerElement, what: string): Uint8Array {
  const { bytes, unusedBits } = derBitString(element, what);
  if (unusedBits !== 0) throw derError(element, what, 'has unused bits');
  return bytes;
}

/** A BIT STRING; unused bits are zero. @throws TrustplaneError ERR_DER */
function derBitString(
  element: DerElement,
  what: string,
): { readonly bytes: Uint8Array; readonly unusedBits: number } {
  const content = derContent(element);
  const unusedBits = content[0];
  const last = content.at(-1) ?? 0;
  if (
    unusedBits === undefined ||
    unusedBits > 7 ||
    (content.length === 1 && unusedBits !== 0) ||
    (content.length > 1 && (last & ((1 << unusedBits) - 1)) !== 0)
  ) {
    throw derError(element, what, 'is a malformed BIT STRING');
  }
  return { bytes: content.subarray(1), unusedBits };
}

/** The bits of a named-bit-list BIT STRING, bit 0 first; no trailing zero bit (X.690 §11.2.2). @throws TrustplaneError ERR_DER */
export function derNamedBits(element: DerElement, what: string): ReadonlySet<number> {
  const { bytes, unusedBits } = derBitString(element, what);
  const bits = new Set<number>();
  const count = bytes.length * 8 - unusedBits;
  for (let bit = 0; bit < count; bit++) {
    if (((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0) bits.add(bit);
  }
  if (count > 0 && !bits.has(count - 1)) throw derError(element, what, 'has trailing zero bits');
  return bits;
}

/** ASCII text of an IA5String or an implicit form of it. @throws TrustplaneError ERR_DER */
export function derAscii(element: DerElement, what: string): string {
  const { bytes, contentStart, end } = element;
  let text = '';
  for (let offset = contentStart; offset < end; offset++) {
    const octet = bytes[offset] ?? 0;
    if (octet >= 0x80) throw derError(element, what, 'is not ASCII');
    text += String.fromCharCode(octet);
  }
  return text;
}

/** UTF-8 text. @throws TrustplaneError ERR_DER */
export function derUtf8(element: DerElement, what: string): string {
  try {
    return strictUtf8.decode(derContent(element));
  } catch {
    throw derError(element, what, 'is not UTF-8');
  }
}

/** UTCTime or GeneralizedTime to the second in UTC (RFC 5280 §4.1.2.5), in milliseconds since the epoch. @throws TrustplaneError ERR_DER */
export function derTime(element: DerElement, what: string): number {
  const { tag } = element;
  if (tag !== derTags.utcTime && tag !== derTags.generalizedTime) {
    throw derError(element, what, 'is not a time');
  }
  const length = tag === derTags.utcTime ? UTC_TIME_LENGTH : GENERALIZED_TIME_LENGTH;
  const text = derAscii(element, what);
  if (text.length !== length || !/^\d+Z$/.test(text)) {
    throw derError(element, what, 'is not a time of the form [YY]YYMMDDHHMMSSZ');
  }
  const rest = text.slice(-11, -1);
  const year = Number(text.slice(0, -11));
  const century = tag === derTags.generalizedTime ? 0 : year < 50 ? 2000 : 1900;
  const time = instant(century + year, rest);
  if (time === undefined) throw derError(element, what, `is no date: ${text}`);
  return time;
}

function instant(year: number, monthToSecond: string): number | undefined {
  const pair = (index: number): number => Number(monthToSecond.slice(index, index + 2));
  const date = new Date(0);
  date.setUTCFullYear(year, pair(0) - 1, pair(2));
  date.setUTCHours(pair(4), pair(6), pair(8));
  const same =
    date.getUTCMonth() === pair(0) - 1 &&
    date.getUTCDate() === pair(2) &&
    date.getUTCHours() === pair(4) &&
    date.getUTCMinutes() === pair(6) &&
    date.getUTCSeconds() === pair(8);
  return same ? date.getTime() : undefined;
}
