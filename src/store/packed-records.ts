import type { StoredRecord } from './store.ts';

const PACK_BYTES = 1024 * 1024;

/** Records in few objects, so that 100,000 of them cross a thread boundary in few moves. */
export interface PackedRecords {
  /** Joined by line feeds. */
  readonly keys: string;
  readonly revisions: Float64Array<ArrayBuffer>;
  /** Where each value ends in `bytes`. */
  readonly ends: Uint32Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Packs of about 1 MiB each. A value is copied as it comes, so that it need not outlive its row. */
export function* packRecords(records: Iterable<StoredRecord>): Generator<PackedRecords> {
  let pack = new Pack();
  for (const record of records) {
    if (!pack.hasRoomFor(record)) {
      yield pack.finish();
      pack = new Pack(record.value.length);
    }
    pack.add(record);
  }
  if (!pack.isEmpty) yield pack.finish();
}

class Pack {
  readonly #keys: string[] = [];
  readonly #revisions: number[] = [];
  readonly #ends: number[] = [];
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #end = 0;

  constructor(leastBytes: number = 0) {
    this.#bytes = new Uint8Array(Math.max(PACK_BYTES, leastBytes));
  }

  get isEmpty(): boolean {
    return this.#keys.length === 0;
  }

  hasRoomFor({ value }: StoredRecord): boolean {
    return this.#end + value.length <= this.#bytes.length;
  }

  add({ key, value, revision }: StoredRecord): void {
    this.#bytes.set(value, this.#end);
    this.#end += value.length;
    this.#keys.push(key);
    this.#revisions.push(revision);
    this.#ends.push(this.#end);
  }

  finish(): PackedRecords {
    return {
      keys: this.#keys.join('\n'),
      revisions: Float64Array.from(this.#revisions),
      ends: Uint32Array.from(this.#ends),
      bytes: this.#bytes.slice(0, this.#end),
    };
  }
}

/** The records of a pack. Their values share its memory. */
export function unpackRecords({ keys, revisions, ends, bytes }: PackedRecords): StoredRecord[] {
  let start = 0;
  return keys.split('\n').map((key, i) => {
    const end = ends[i] ?? start;
    const record = { key, value: bytes.subarray(start, end), revision: revisions[i] ?? 0 };
    start = end;
    return record;
  });
}

/** The memory that may move with a pack instead of being copied. */
export function movableOf({ revisions, ends, bytes }: PackedRecords): ArrayBuffer[] {
  return [revisions.buffer, ends.buffer, bytes.buffer];
}
