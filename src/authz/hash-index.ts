import { mix } from './pattern-space.ts';

/** Numbers by hash, in two arrays: a look-up may return others too, so what it returns is checked. */
export interface HashIndex {
  /** Where the items of each bucket begin; one more than there are buckets, which are a power of two. */
  readonly starts: Uint32Array;
  readonly items: Uint32Array;
}

/** `hashes[n]` is the hash of `items[n]`. */
export function buildHashIndex(hashes: readonly number[], items: readonly number[]): HashIndex {
  const buckets = 2 ** Math.ceil(Math.log2(Math.max(1, hashes.length) * 2));
  const starts = new Uint32Array(buckets + 1);
  for (const hash of hashes) bump(starts, bucketOf(hash, buckets) + 1);
  for (let at = 0; at < buckets; at++) starts[at + 1] = (starts[at + 1] ?? 0) + (starts[at] ?? 0);
  const next = starts.slice();
  const sorted = new Uint32Array(items.length);
  for (const [at, hash] of hashes.entries()) {
    const bucket = bucketOf(hash, buckets);
    sorted[next[bucket] ?? 0] = items[at] ?? 0;
    bump(next, bucket);
  }
  return { starts, items: sorted };
}

/** Adds the items that may have the hash. */
export function collectItems({ starts, items }: HashIndex, hash: number, into: number[]): void {
  const bucket = bucketOf(hash, starts.length - 1);
  const end = starts[bucket + 1] ?? 0;
  for (let at = starts[bucket] ?? 0; at < end; at++) {
    const item = items[at];
    if (item !== undefined) into.push(item);
  }
}

function bucketOf(hash: number, buckets: number): number {
  return mix(hash, 0x5bd1e995) & (buckets - 1);
}

function bump(counts: Uint32Array, at: number): void {
  counts[at] = (counts[at] ?? 0) + 1;
}
