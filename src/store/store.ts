/** One stored value with the revision that wrote it. Values are shared and never modified. */
export interface StoredRecord {
  readonly key: string;
  readonly value: Uint8Array;
  /** Position of the write in its bucket; rises with every change, with holes. */
  readonly revision: number;
}

/** One change of a bucket, in the bucket's single order. */
export type StoreEvent =
  | {
      readonly type: 'put';
      readonly key: string;
      readonly value: Uint8Array;
      readonly revision: number;
    }
  | { readonly type: 'delete'; readonly key: string; readonly revision: number };

/** What a prefix held at one revision. */
export interface StoreSnapshot {
  readonly records: readonly StoredRecord[];
  /** Every change after this revision is in `watch(prefix, revision)`. */
  readonly revision: number;
}

/**
 * A named, revisioned set of keys (design D1). Keys are `[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*`. A
 * promise that has resolved is durable.
 */
export interface Bucket {
  get(key: string): Promise<StoredRecord | undefined>;
  /**
   * Writes and returns the new revision. `expected`: the revision the key must have now, 0 when it
   * must not exist (a deleted key does not exist); omitted to write whatever is there.
   * @throws TrustplaneError ERR_STORE_CONFLICT, ERR_STORE_KEY, ERR_STORE_VALUE_TOO_LARGE,
   * and where nothing was changed ERR_STORE_BUSY, ERR_STORE_FULL, ERR_STORE_READ_ONLY;
   * ERR_STORE_UNAVAILABLE leaves open whether it was
   */
  put(key: string, value: Uint8Array, expected?: number): Promise<number>;
  /**
   * Deletes and returns the revision of the delete marker (undefined when there was nothing).
   * @throws TrustplaneError ERR_STORE_CONFLICT, ERR_STORE_KEY, ERR_STORE_UNAVAILABLE
   */
  delete(key: string, expected?: number): Promise<number | undefined>;
  /** All live records whose key begins with `prefix` (empty: all), sorted by key. */
  list(prefix: string): Promise<StoreSnapshot>;
  /**
   * The same some records at a time, as they are read; resolves with their revision. What `take` throws it rejects
   * with, and then no more is taken.
   */
  scan(prefix: string, take: (some: readonly StoredRecord[]) => void): Promise<number>;
  /**
   * The changes after revision `from` of keys with `prefix`, in order, without end, until `signal`
   * aborts (then the iteration ends normally). The latest change of each key always comes; earlier
   * ones may be left out when the watcher comes to them after they were overwritten. Delete markers
   * are kept for 24 hours, so a watcher may be that far behind.
   * @throws TrustplaneError ERR_STORE_COMPACTED when changes after `from` are no longer known, or
   * the bucket is not yet at `from`: take a new `list` and watch from its revision.
   * ERR_STORE_UNAVAILABLE when the feed breaks or the store is closed; ERR_STORE_BUSY when the bucket has too many
   * watchers.
   */
  watch(prefix: string, from: number, signal: AbortSignal): AsyncIterable<StoreEvent>;
}

/** Durable records of one control plane. */
export interface Store {
  bucket(name: BucketName): Bucket;
  close(): Promise<void>;
}

export const bucketNames = [
  'entries',
  'agents',
  'tokens',
  'authorities',
  'federation',
  'policies',
  'revocations',
  'leases',
] as const;

export type BucketName = (typeof bucketNames)[number];
