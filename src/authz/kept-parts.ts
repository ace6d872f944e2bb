/** Parts of a plan by their numbers, decoded when they are asked for. */
export interface Parts<T> {
  readonly length: number;
  at(number: number): T;
}

export interface SizedParts<T> extends Parts<T> {
  /** Octets of the record. */
  sizeOf(number: number): number;
}

const SLOTS = 8_192;
/** Of the JSON of what is kept, which takes some ten times the room when decoded. */
const MAX_KEPT_BYTES = 4_194_304;

/** Parts of which there are few: each is kept. */
export class FewParts<T> implements Parts<T> {
  readonly length: number;
  readonly #decode: (number: number) => T;
  readonly #kept: T[] = [];

  constructor(length: number, decode: (number: number) => T) {
    this.length = length;
    this.#decode = decode;
  }

  at(number: number): T {
    return (this.#kept[number] ??= this.#decode(number));
  }
}

/** Parts of which there are many: each has one slot, which it may lose to another part. */
export class ManyParts<T> implements SizedParts<T> {
  readonly length: number;
  readonly sizeOf: (number: number) => number;
  readonly #decode: (number: number) => T;
  readonly #kept: (T | undefined)[];
  readonly #numbers: Uint32Array;
  #bytes = 0;

  constructor(length: number, decode: (number: number) => T, sizeOf: (number: number) => number) {
    this.length = length;
    this.#decode = decode;
    this.sizeOf = sizeOf;
    const slots = Math.min(length, SLOTS);
    this.#kept = Array.from({ length: slots }, () => undefined);
    this.#numbers = new Uint32Array(slots);
  }

  at(number: number): T {
    const slot = number % this.#numbers.length;
    const kept = this.#kept[slot];
    if (kept !== undefined && this.#numbers[slot] === number) return kept;
    return this.#keep(slot, number, this.#decode(number));
  }

  #keep(slot: number, number: number, part: T): T {
    if (this.#kept[slot] !== undefined) this.#bytes -= this.sizeOf(this.#numbers[slot] ?? 0);
    this.#bytes += this.sizeOf(number);
    if (this.#bytes > MAX_KEPT_BYTES) {
      this.#kept.fill(undefined);
      this.#bytes = this.sizeOf(number);
    }
    this.#kept[slot] = part;
    this.#numbers[slot] = number;
    return part;
  }
}
