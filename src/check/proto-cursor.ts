import { TrustplaneError } from '../spiffe/index.ts';

export const wireTypes = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/**
 * Reads the fields of one protobuf message where they lie, one after the other: `field` and
 * `wireType` are of the present one, `from` and `to` are the bounds of its content, `value` that of a
 * varint up to 2^53. Groups are refused.
 */
export class ProtoCursor {
  readonly bytes: Uint8Array;
  field = 0;
  wireType = -1;
  from = 0;
  to = 0;
  value = 0;
  #at: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, from = 0, to: number = bytes.length) {
    this.bytes = bytes;
    this.#at = from;
    this.#end = to;
  }

  /** Steps to the next field; false after the last. @throws TrustplaneError ERR_CHECK_REQUEST */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    const tag = this.#varint();
    this.wireType = tag & 7;
    this.field = Math.floor(tag / 8);
    if (this.field === 0 || tag > 0xffff_ffff) throw malformed('a field number', this.#at);
    this.from = this.#at;
    this.#stepOver();
    return true;
  }

  #stepOver(): void {
    switch (this.wireType) {
      case wireTypes.varint:
        this.value = this.#varint();
        break;
      case wireTypes.bytes: {
        const length = this.#varint();
        this.from = this.#at;
        this.#at += length;
        break;
      }
      case wireTypes.fixed64:
        this.#at += 8;
        break;
      case wireTypes.fixed32:
        this.#at += 4;
        break;
      default:
        throw malformed(`the wire type ${this.wireType}`, this.from);
    }
    this.to = this.#at;
    if (this.#at > this.#end) throw malformed('a field beyond its message', this.from);
  }

  #varint(): number {
    const first = this.bytes[this.#at];
    if (first !== undefined && first < 0x80 && this.#at < this.#end) {
      this.#at++;
      return first;
    }
    return this.#longVarint();
  }

  /** At most ten octets; what exceeds 2^53 loses its last digits. */
  #longVarint(): number {
    let value = 0;
    let factor = 1;
    for (let count = 0; count < 10; count++, factor *= 128) {
      const octet = this.#at < this.#end ? this.bytes[this.#at++] : undefined;
      if (octet === undefined) break;
      value += (octet & 0x7f) * factor;
      if (octet < 0x80) return value;
    }
    throw malformed('a varint', this.#at);
  }
}

/** What stands at an offset that a CheckRequest cannot have there. */
export function malformed(what: string, at: number): TrustplaneError {
  return new TrustplaneError('ERR_CHECK_REQUEST', `expected a CheckRequest; got ${what} at ${at}`);
}
