import { type ProtoCursor, wireTypes } from './proto-cursor.ts';
import { textOf } from './proto-values.ts';

/** Below it a text is decoded faster than it is found. */
const MIN_BYTES = 256;
/** Beyond it a text is no certificate, and would hold too much. */
const MAX_BYTES = 8_192;
/** Of the samples that tell texts apart: from the end of each, where certificates have their signatures. */
const SAMPLES = 16;
const FIRST_SAMPLE = 48;
const STEP = 5;

/**
 * Long texts that come again and again, such as the certificates of callers: each is decoded once and is the same
 * string every time, so that it needs no hash and leaves no garbage. At most `max` are kept.
 */
export class RepeatedTexts {
  readonly #max: number;
  readonly #known = new Map<number, { readonly bytes: Uint8Array; readonly text: string }>();

  constructor(max: number) {
    this.#max = max;
  }

  /** What `textOf` reads. @throws TrustplaneError ERR_CHECK_REQUEST */
  read(cursor: ProtoCursor): string {
    const { bytes, from, to, wireType } = cursor;
    const length = to - from;
    if (wireType !== wireTypes.bytes || length < MIN_BYTES || length > MAX_BYTES)
      return textOf(cursor);
    const key = sampleOf(bytes, from, to);
    const known = this.#known.get(key);
    if (known !== undefined && isSame(known.bytes, bytes, from, to)) return known.text;
    const text = textOf(cursor);
    if (this.#known.size >= this.#max) this.#known.clear();
    this.#known.set(key, { bytes: bytes.slice(from, to), text });
    return text;
  }
}

/** FNV-1a of the length and some octets. */
function sampleOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = 0x811c9dc5 ^ (to - from);
  for (let count = 0; count < SAMPLES; count++) {
    hash = Math.imul(hash ^ (bytes[to - FIRST_SAMPLE - count * STEP] ?? 0), 0x01000193);
  }
  return hash;
}

function isSame(known: Uint8Array, bytes: Uint8Array, from: number, to: number): boolean {
  return Buffer.compare(known, bytes.subarray(from, to)) === 0;
}
