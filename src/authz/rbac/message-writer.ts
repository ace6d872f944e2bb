const VARINT = 0;
const BYTES = 2;

const encoder = new TextEncoder();

/**
 * Writes a protobuf message from its last field to its first, so that the length of a part is known
 * when it is due. https://protobuf.dev/programming-guides/encoding/
 */
export class MessageWriter {
  #octets = new Uint8Array(4_096);
  #start: number = this.#octets.length;

  /** What was written. */
  finish(): Uint8Array {
    return this.#octets.slice(this.#start);
  }

  /** A field that is a message, whose fields `write` writes, last first. */
  message(field: number, write: () => void): void {
    const end = this.#octets.length - this.#start;
    write();
    this.#varint(this.#octets.length - this.#start - end);
    this.#tag(field, BYTES);
  }

  text(field: number, value: string): void {
    const at = this.#reserve(value.length);
    for (let index = 0; index < value.length; index++) {
      const code = value.charCodeAt(index);
      if (code > 127) {
        this.#start += value.length;
        this.bytes(field, encoder.encode(value));
        return;
      }
      this.#octets[at + index] = code;
    }
    this.#varint(value.length);
    this.#tag(field, BYTES);
  }

  bytes(field: number, value: Uint8Array): void {
    this.raw(value);
    this.#varint(value.length);
    this.#tag(field, BYTES);
  }

  /** Fields that were written elsewhere. */
  raw(fields: Uint8Array): void {
    const at = this.#reserve(fields.length);
    this.#octets.set(fields, at);
  }

  /** The fields of a `TypedExtensionConfig` with the configuration that `write` writes. */
  extension(name: string, typeUrl: string, write: () => void): void {
    this.message(2, () => {
      this.message(2, write);
      this.text(1, typeUrl);
    });
    this.text(1, name);
  }

  /** A whole number below 2^31. */
  number(field: number, value: number): void {
    this.#varint(value);
    this.#tag(field, VARINT);
  }

  #tag(field: number, wireType: number): void {
    this.#varint((field << 3) | wireType);
  }

  #varint(value: number): void {
    let length = 1;
    for (let left = value >>> 7; left > 0; left >>>= 7) length++;
    let at = this.#reserve(length);
    for (let left = value; length > 0; length--, left >>>= 7)
      this.#octets[at++] = length === 1 ? left : (left & 127) | 128;
  }

  /** Makes room for so many octets in front; returns where they begin. */
  #reserve(count: number): number {
    if (count > this.#start) this.#grow(count);
    this.#start -= count;
    return this.#start;
  }

  #grow(count: number): void {
    const written = this.#octets.length - this.#start;
    const larger = new Uint8Array(Math.max(this.#octets.length * 2, written + count));
    larger.set(this.#octets.subarray(this.#start), larger.length - written);
    this.#octets = larger;
    this.#start = larger.length - written;
  }
}
