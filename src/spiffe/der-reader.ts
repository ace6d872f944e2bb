import { TrustplaneError } from './errors.ts';

/** Identifier octets of the types X.509 uses (X.690 §8.1.2). */
export const derTags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** `[n] primitive`, for implicit tags. */
export const contextTag = (number: number): number => 0x80 | number;
/** `[n] constructed`, for explicit tags and implicit sequences. */
export const constructedContextTag = (number: number): number => 0xa0 | number;

const MAX_DEPTH = 24;
const MAX_BYTES = 1 << 20;
const HIGH_TAG_FORM = 0x1f;
const CONSTRUCTED = 0x20;

/** One tag-length-value, as offsets into `bytes`; nothing is copied. */
export interface DerElement {
  readonly bytes: Uint8Array;
  readonly tag: number;
  /** Where the tag stands. */
  readonly start: number;
  readonly contentStart: number;
  readonly end: number;
  readonly depth: number;
}

/** The content octets, a view. */
export function derContent(element: DerElement): Uint8Array {
  return element.bytes.subarray(element.contentStart, element.end);
}

/** Tag, length and content, a view. */
export function derEncoded(element: DerElement): Uint8Array {
  return element.bytes.subarray(element.start, element.end);
}

/**
 * Reads DER elements one after another (X.690 §10): single-byte tags, definite minimal lengths,
 * nesting at most 24, input at most 1 MiB. Every method throws TrustplaneError ERR_DER; `what` is
 * the field's name in the message.
 */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #depth: number;
  #offset: number;

  private constructor(bytes: Uint8Array, start: number, end: number, depth: number) {
    this.#bytes = bytes;
    this.#offset = start;
    this.#end = end;
    this.#depth = depth;
  }

  /** A reader over all of `bytes`. */
  static of(bytes: Uint8Array, maxBytes: number = MAX_BYTES): DerReader {
    if (bytes.length > maxBytes) {
      throw new TrustplaneError(
        'ERR_DER',
        `DER input has ${bytes.length} bytes; at most ${maxBytes} are allowed`,
      );
    }
    return new DerReader(bytes, 0, bytes.length, 0);
  }

  /** A reader over what a constructed element holds. */
  static inside(element: DerElement, what: string): DerReader {
    if ((element.tag & CONSTRUCTED) === 0) throw derError(element, what, 'is not constructed');
    return new DerReader(element.bytes, element.contentStart, element.end, element.depth + 1);
  }

  get atEnd(): boolean {
    return this.#offset === this.#end;
  }

  /** The next element's tag, or undefined at the end. */
  peekTag(): number | undefined {
    return this.atEnd ? undefined : this.#bytes[this.#offset];
  }

  /** The next element, whatever its tag. */
  read(what: string): DerElement {
    const bytes = this.#bytes;
    const start = this.#offset;
    if (this.#depth > MAX_DEPTH) throw derErrorAt(start, what, `is nested over ${MAX_DEPTH} deep`);
    const tag = this.#octet(start, what);
    if ((tag & HIGH_TAG_FORM) === HIGH_TAG_FORM) {
      throw derErrorAt(start, what, 'has a tag number over 30');
    }
    let length = this.#octet(start + 1, what);
    let contentStart = start + 2;
    if (length >= 0x80) {
      const octets = length & 0x7f;
      length = this.#longLength(contentStart, octets, what);
      contentStart += octets;
    }
    const end = contentStart + length;
    if (end > this.#end) {
      throw derErrorAt(
        start,
        what,
        `claims ${length} bytes; ${this.#end - contentStart} are there`,
      );
    }
    this.#offset = end;
    return { bytes, tag, start, contentStart, end, depth: this.#depth };
  }

  /** The next element, which must have this tag. */
  expect(tag: number, what: string): DerElement {
    const found = this.peekTag();
    if (found !== tag) {
      const got = found === undefined ? 'nothing' : `0x${hexOctet(found)}`;
      throw derErrorAt(this.#offset, what, `has tag 0x${hexOctet(tag)}; got ${got}`);
    }
    return this.read(what);
  }

  /** The next element if it has this tag, else undefined. */
  optional(tag: number, what: string): DerElement | undefined {
    return this.peekTag() === tag ? this.read(what) : undefined;
  }

  /** Enters the next element, which must be a SEQUENCE (or have the constructed tag given). */
  enter(what: string, tag: number = derTags.sequence): DerReader {
    return DerReader.inside(this.expect(tag, what), what);
  }

  /** Refuses anything left over. */
  finish(what: string): void {
    if (this.atEnd) return;
    throw derErrorAt(this.#offset, what, `has ${this.#end - this.#offset} trailing bytes`);
  }

  #octet(offset: number, what: string): number {
    const octet = offset < this.#end ? this.#bytes[offset] : undefined;
    if (octet === undefined) throw derErrorAt(offset, what, 'is cut short');
    return octet;
  }

  #longLength(offset: number, octets: number, what: string): number {
    if (octets === 0) throw derErrorAt(offset - 1, what, 'has an indefinite length');
    if (octets > 4) throw derErrorAt(offset - 1, what, `has a length of ${octets} octets`);
    let length = 0;
    for (let index = 0; index < octets; index++) {
      length = length * 256 + this.#octet(offset + index, what);
    }
    if (length < 0x80 || length < 256 ** (octets - 1)) {
      throw derErrorAt(offset - 1, what, 'has a length that is not minimal');
    }
    return length;
  }
}

/**
 * Splits concatenated DER SEQUENCEs, such as certificates, into views of each.
 * @throws TrustplaneError ERR_DER also when there are more than `maxCount`
 */
export function splitDerSequence(bytes: Uint8Array, maxCount: number = 1024): Uint8Array[] {
  const reader = DerReader.of(bytes);
  const parts: Uint8Array[] = [];
  while (!reader.atEnd) {
    if (parts.length === maxCount) {
      throw new TrustplaneError('ERR_DER', `more than ${maxCount} concatenated DER sequences`);
    }
    parts.push(derEncoded(reader.expect(derTags.sequence, `sequence ${parts.length + 1}`)));
  }
  return parts;
}

/** An error about an element, with its offset. */
export function derError(element: DerElement, what: string, why: string): TrustplaneError {
  return derErrorAt(element.start, what, why);
}

function derErrorAt(offset: number, what: string, why: string): TrustplaneError {
  return new TrustplaneError('ERR_DER', `malformed DER: ${what} at byte ${offset} ${why}`);
}

function hexOctet(octet: number): string {
  return octet.toString(16).padStart(2, '0');
}
