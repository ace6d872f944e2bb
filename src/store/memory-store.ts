import type { Clock } from '../spiffe/clock.ts';
import { TrustplaneError } from '../spiffe/errors.ts';
import { ChangeFeed, type ChangePage } from './change-feed.ts';
import {
  type Bucket,
  type BucketName,
  bucketNames,
  type Store,
  type StoredRecord,
  type StoreEvent,
  type StoreSnapshot,
} from './store.ts';
import {
  checkExpected,
  checkKey,
  checkPrefix,
  checkReplayable,
  checkValue,
  closedError,
  storeLimits,
} from './store-rules.ts';

/** A store that lives and dies with the process. */
export function createMemoryStore(options: { readonly clock: Clock }): Store {
  const buckets = new Map(bucketNames.map((name) => [name, new MemoryBucket(options.clock)]));
  return {
    bucket(name: BucketName): Bucket {
      const bucket = buckets.get(name);
      if (bucket === undefined) throw new TrustplaneError('ERR_INTERNAL', `no bucket ${name}`);
      return bucket;
    },
    async close() {
      for (const bucket of buckets.values()) bucket.close();
    },
  };
}

class MemoryBucket implements Bucket {
  readonly #clock: Clock;
  readonly #feed = new ChangeFeed(async (prefix, after) => this.#changes(prefix, after));
  /** The latest change of each key, in order of revision. */
  readonly #latest = new Map<string, StoreEvent>();
  /** When each key that is gone was deleted, in order of revision. */
  readonly #deletedAt = new Map<string, number>();
  #revision = 0;
  #horizon = 0;
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async get(key: string): Promise<StoredRecord | undefined> {
    this.#checkOpen();
    checkKey(key);
    const event = this.#latest.get(key);
    return event?.type === 'put' ? recordOf(event) : undefined;
  }

  async put(key: string, value: Uint8Array, expected?: number): Promise<number> {
    this.#checkOpen();
    checkKey(key);
    checkValue(key, value);
    checkExpected(key, this.#revisionOf(key), expected);
    this.#change({ type: 'put', key, value: value.slice(), revision: this.#revision + 1 });
    return this.#revision;
  }

  async delete(key: string, expected?: number): Promise<number | undefined> {
    this.#checkOpen();
    checkKey(key);
    const current = this.#revisionOf(key);
    checkExpected(key, current, expected);
    if (current === 0) return undefined;
    this.#change({ type: 'delete', key, revision: this.#revision + 1 });
    return this.#revision;
  }

  async list(prefix: string): Promise<StoreSnapshot> {
    this.#checkOpen();
    checkPrefix(prefix);
    const records = [...this.#latest.values()]
      .filter((event) => event.type === 'put')
      .filter(({ key }) => key.startsWith(prefix))
      .map(recordOf)
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    return { records, revision: this.#revision };
  }

  async scan(prefix: string, take: (some: readonly StoredRecord[]) => void): Promise<number> {
    const { records, revision } = await this.list(prefix);
    if (records.length > 0) take(records);
    return revision;
  }

  watch(prefix: string, from: number, signal: AbortSignal): AsyncIterable<StoreEvent> {
    checkPrefix(prefix);
    return this.#feed.watch(prefix, from, signal);
  }

  close(): void {
    this.#isClosed = true;
    this.#feed.fail(closedError());
  }

  #checkOpen(): void {
    if (this.#isClosed) throw closedError();
  }

  #revisionOf(key: string): number {
    const event = this.#latest.get(key);
    return event?.type === 'put' ? event.revision : 0;
  }

  #change(event: StoreEvent): void {
    this.#revision = event.revision;
    this.#latest.delete(event.key);
    this.#latest.set(event.key, event);
    this.#deletedAt.delete(event.key);
    if (event.type === 'delete') this.#deletedAt.set(event.key, this.#clock.now());
    this.#compact();
    this.#feed.publish(event);
  }

  /** Forgets deletes that are older than the store remembers them. */
  #compact(): void {
    const limit = this.#clock.now() - storeLimits.deleteMarkerMs;
    for (const [key, deletedAt] of this.#deletedAt) {
      if (deletedAt > limit) break;
      this.#horizon = Math.max(this.#horizon, this.#latest.get(key)?.revision ?? 0);
      this.#deletedAt.delete(key);
      this.#latest.delete(key);
    }
  }

  #changes(prefix: string, after: number): ChangePage {
    checkReplayable(after, this.#horizon, this.#revision);
    const events = [...this.#latest.values()].filter(
      (event) => event.revision > after && event.key.startsWith(prefix),
    );
    return { events, upTo: this.#revision, isLast: true };
  }
}

function recordOf(event: StoreEvent & { readonly type: 'put' }): StoredRecord {
  return { key: event.key, value: event.value, revision: event.revision };
}
