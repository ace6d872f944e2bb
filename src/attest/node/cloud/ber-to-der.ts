import { derTags, TrustplaneError, writeDer } from '../../../spiffe/index.ts';

const MAX_BYTES = 65_536;
const MAX_DEPTH = 16;
const CONSTRUCTED = 0x20;
const INDEFINITE = 0x80;
const CONSTRUCTED_OCTET_STRING = derTags.octetString | CONSTRUCTED;

/**
 * Rewrites what streaming writers of CMS make of DER back into it: indefinite lengths (X.690 §8.1.3.6)
 * and octet strings in pieces (§8.7.3). All else stays as it is, for a reader of DER to judge. At most
 * 64 KiB, nested at most 16 deep.
 * @throws TrustplaneError ERR_DER
 */
export function berToDer(bytes: Uint8Array): Uint8Array {
  if (bytes.length > MAX_BYTES)
    throw malformed(0, `has ${bytes.length} bytes; at most ${MAX_BYTES}`);
  const { encoded, end } = rewrite(bytes, 0, bytes.length, 0);
  if (end !== bytes.length) throw malformed(end, `has ${bytes.length - end} trailing bytes`);
  return encoded;
}

interface Rewritten {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly encoded: Uint8Array;
  /** Where the next element stands. */
  readonly end: number;
}

function rewrite(bytes: Uint8Array, start: number, limit: number, depth: number): Rewritten {
  if (depth > MAX_DEPTH) throw malformed(start, `is nested over ${MAX_DEPTH} deep`);
  const [tag, first] = [bytes[start], bytes[start + 1]];
  if (tag === undefined || first === undefined || start + 2 > limit) {
    throw malformed(start, 'is cut short');
  }
  const isConstructed = (tag & CONSTRUCTED) !== 0;
  if (first === INDEFINITE) {
    if (!isConstructed) throw malformed(start, 'is primitive and of indefinite length');
    return rewriteParts(bytes, { tag, from: start + 2, end: undefined, limit }, depth);
  }
  const { length, from } = definiteLength(bytes, start, limit);
  const end = from + length;
  if (end > limit) throw malformed(start, `claims ${length} bytes; ${limit - from} are there`);
  if (isConstructed) return rewriteParts(bytes, { tag, from, end, limit: end }, depth);
  const content = bytes.subarray(from, end);
  return { tag, content, encoded: bytes.subarray(start, end), end };
}

/** The parts up to `end`, or, without one, up to the end-of-contents octets. */
function rewriteParts(
  bytes: Uint8Array,
  at: { tag: number; from: number; end: number | undefined; limit: number },
  depth: number,
): Rewritten {
  const parts: Rewritten[] = [];
  let offset = at.from;
  while (offset !== at.end) {
    if (
      at.end === undefined &&
      bytes[offset] === 0 &&
      bytes[offset + 1] === 0 &&
      offset + 2 <= at.limit
    ) {
      offset += 2;
      break;
    }
    const part = rewrite(bytes, offset, at.limit, depth + 1);
    parts.push(part);
    offset = part.end;
  }
  const isString = at.tag === CONSTRUCTED_OCTET_STRING;
  if (isString && parts.some(({ tag }) => tag !== derTags.octetString)) {
    throw malformed(at.from, 'is an octet string with a piece that is none');
  }
  const tag = isString ? derTags.octetString : at.tag;
  const content = Buffer.concat(parts.map((part) => (isString ? part.content : part.encoded)));
  return { tag, content, encoded: writeDer(tag, content), end: offset };
}

/** As in DER: minimal. */
function definiteLength(
  bytes: Uint8Array,
  start: number,
  limit: number,
): { readonly length: number; readonly from: number } {
  const first = bytes[start + 1] ?? 0;
  if (first < INDEFINITE) return { length: first, from: start + 2 };
  const octets = first & 0x7f;
  const from = start + 2 + octets;
  if (octets > 3 || from > limit) throw malformed(start, `has a length of ${octets} octets`);
  let length = 0;
  for (const octet of bytes.subarray(start + 2, from)) length = length * 256 + octet;
  if (length >= 0x80 && length >= 256 ** (octets - 1)) return { length, from };
  throw malformed(start, 'has a length that is not minimal');
}

function malformed(offset: number, why: string): TrustplaneError {
  return new TrustplaneError('ERR_DER', `malformed BER: the element at byte ${offset} ${why}`);
}
