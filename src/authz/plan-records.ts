import { packJson, type Unpacked, unpackJson } from './packed-json.ts';

const FIRST_BYTES = 65_536;

/** Appends values as packed JSON. */
export class RecordWriter {
  readonly #encoder = new TextEncoder();
  readonly #starts: number[] = [0];
  #bytes = new Uint8Array(FIRST_BYTES);
  #length = 0;

  add(value: object): void {
    const json = packJson(value);
    this.#reserve(json.length * 3);
    this.#length += this.#encoder.encodeInto(json, this.#bytes.subarray(this.#length)).written;
    this.#starts.push(this.#length);
  }

  build(): { readonly starts: Uint32Array; readonly bytes: Uint8Array } {
    return {
      starts: Uint32Array.from(this.#starts),
      bytes: this.#bytes.subarray(0, this.#length),
    };
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array((this.#length + more) * 2);
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** Reads what a `RecordWriter` wrote. */
export class RecordReader {
  readonly #decoder = new TextDecoder();
  readonly #starts: Uint32Array;
  readonly #bytes: Uint8Array;

  constructor(starts: Uint32Array, bytes: Uint8Array) {
    this.#starts = starts;
    this.#bytes = bytes;
  }

  /** Bytes of the JSON. */
  sizeOf(record: number): number {
    return (this.#starts[record + 1] ?? 0) - (this.#starts[record] ?? 0);
  }

  read(record: number): Unpacked {
    return unpackJson(
      this.#decoder.decode(this.#bytes.subarray(this.#starts[record], this.#starts[record + 1])),
    );
  }
}
