import type { StoredRecord } from './store.ts';

const MAX_PACK_BYTES = 1024 * 1024;

/** Records in few objects, so that 100,000 of them cross a thread boundary in few moves. */
export interface PackedRecords {
  /** Joined by line feeds. */
  readonly keys: string;
  readonly revisions: Float64Array<ArrayBuffer>;
  /** Where each value ends in `bytes`. */
  readonly ends: Uint32Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Packs of at most about 1 MiB each. */
export function* packRecords(records: Iterable<StoredRecord>): Generator<PackedRecords> {
  let group: StoredRecord[] = [];
  let groupBytes = 0;
  for (const record of records) {
    group.push(record);
    groupBytes += record.value.length;
    if (groupBytes < MAX_PACK_BYTES) continue;
    yield packGroup(group, groupBytes);
    group = [];
    groupBytes = 0;
  }
  if (group.length > 0) yield packGroup(group, groupBytes);
}

/** The memory that may move with a pack instead of being copied. */
export function movableOf({ revisions, ends, bytes }: PackedRecords): ArrayBuffer[] {
  return [revisions.buffer, ends.buffer, bytes.buffer];
}

function packGroup(group: readonly StoredRecord[], byteLength: number): PackedRecords {
  const bytes = new Uint8Array(byteLength);
  const ends = new Uint32Array(group.length);
  let end = 0;
  for (const [i, { value }] of group.entries()) {
    bytes.set(value, end);
    end += value.length;
    ends[i] = end;
  }
  const keys = group.map((record) => record.key).join('\n');
  return { keys, revisions: Float64Array.from(group, (record) => record.revision), ends, bytes };
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
