const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const HEX = Buffer.from('0123456789abcdef');
/** The most octets that one UTF-16 unit takes, as in \u0000. */
const MAX_ESCAPE = 6;

/**
 * Writes JSON as ASCII alone: what is not plain is escaped unit by unit, so that a line stays a line,
 * lone surrogates survive, and no terminal obeys what a caller wrote. Grows as it is written.
 */
export class JsonBytes {
  #bytes: Buffer;
  #at = 0;

  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafe(size);
  }

  get length(): number {
    return this.#at;
  }

  /** JSON as it stands, in ASCII. */
  raw(json: string): void {
    const { length } = json;
    const bytes = this.#room(length);
    const at = this.#at;
    for (let index = 0; index < length; index++) bytes[at + index] = json.charCodeAt(index);
    this.#at = at + length;
  }

  /** A string: the first `limit` units of `text`. */
  text(text: string, limit: number = text.length): void {
    const end = Math.min(text.length, limit);
    const bytes = this.#room(end * MAX_ESCAPE + 2);
    let at = this.#at;
    bytes[at++] = QUOTE;
    for (let index = 0; index < end; index++) {
      const unit = text.charCodeAt(index);
      if (isPlain(unit)) bytes[at++] = unit;
      else at = escapeUnit(bytes, at, unit);
    }
    bytes[at++] = QUOTE;
    this.#at = at;
  }

  /** A string: octets as Latin-1, in lower case. */
  name(octets: Uint8Array, from: number, to: number): void {
    const bytes = this.#room((to - from) * MAX_ESCAPE + 2);
    let at = this.#at;
    bytes[at++] = QUOTE;
    for (let index = from; index < to; index++) {
      const octet = octets[index] ?? 0;
      if (octet >= 0x41 && octet <= 0x5a) bytes[at++] = octet + 32;
      else if (isPlain(octet)) bytes[at++] = octet;
      else at = escapeUnit(bytes, at, octet);
    }
    bytes[at++] = QUOTE;
    this.#at = at;
  }

  /** What was written, in no more memory than it needs, for it may wait; the next write begins anew. */
  take(): Buffer {
    const { buffer, byteOffset } = this.#bytes;
    const taken = Buffer.from(buffer.slice(byteOffset, byteOffset + this.#at));
    this.#at = 0;
    return taken;
  }

  #room(size: number): Buffer {
    if (this.#at + size <= this.#bytes.length) return this.#bytes;
    const grown = Buffer.allocUnsafe(2 * (this.#at + size));
    grown.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = grown;
    return grown;
  }
}

function isPlain(unit: number): boolean {
  return unit >= 0x20 && unit < 0x7f && unit !== QUOTE && unit !== BACKSLASH;
}

/** Returns where the escape ends. */
function escapeUnit(bytes: Buffer, from: number, unit: number): number {
  bytes[from] = BACKSLASH;
  if (unit === QUOTE || unit === BACKSLASH) {
    bytes[from + 1] = unit;
    return from + 2;
  }
  bytes[from + 1] = 0x75;
  for (let digit = 0; digit < 4; digit++)
    bytes[from + 2 + digit] = HEX[(unit >> (12 - 4 * digit)) & 15] ?? 0;
  return from + MAX_ESCAPE;
}
