import { TrustplaneError } from '../../src/spiffe/index.ts';
import {
  type Bucket,
  type BucketName,
  bucketNames,
  type Store,
  type StoredRecord,
  type StoreEvent,
} from '../../src/store/index.ts';
import { checkExpected, checkReplayable } from '../../src/store/store-rules.ts';

/** What a store held at one time. */
export type StoreCopy = ReadonlyMap<BucketName, BucketState>;

interface BucketState {
  readonly revision: number;
  readonly events: readonly StoreEvent[];
}

/** A store in memory that can be set back to what it was, also while it is in use: its feeds break then. */
export class ForgetfulStore implements Store {
  readonly #buckets = new Map(bucketNames.map((name) => [name, new ForgetfulBucket()]));

  bucket(name: BucketName): ForgetfulBucket {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) throw new Error(`no bucket ${name}`);
    return bucket;
  }

  copy(): StoreCopy {
    return new Map([...this.#buckets].map(([name, bucket]) => [name, bucket.state]));
  }

  setBack(copy: StoreCopy): void {
    for (const [name, state] of copy) this.bucket(name).setBack(state);
  }

  async close(): Promise<void> {}
}

class ForgetfulBucket implements Bucket {
  #revision = 0;
  /** The latest of each key. */
  #events = new Map<string, StoreEvent>();
  #breaks = 0;
  #wakes = new Set<() => void>();

  get state(): BucketState {
    return { revision: this.#revision, events: [...this.#events.values()] };
  }

  setBack({ revision, events }: BucketState): void {
    this.#revision = revision;
    this.#events = new Map(events.map((event) => [event.key, event]));
    this.#breaks++;
    this.#wake();
  }

  async get(key: string): Promise<StoredRecord | undefined> {
    const event = this.#events.get(key);
    return event?.type === 'put' ? event : undefined;
  }

  async put(key: string, value: Uint8Array, expected?: number): Promise<number> {
    checkExpected(key, (await this.get(key))?.revision ?? 0, expected);
    return this.#change({ type: 'put', key, value, revision: this.#revision + 1 });
  }

  async delete(key: string, expected?: number): Promise<number | undefined> {
    const current = (await this.get(key))?.revision ?? 0;
    checkExpected(key, current, expected);
    if (current === 0) return undefined;
    return this.#change({ type: 'delete', key, revision: this.#revision + 1 });
  }

  async list(prefix: string) {
    const records = [...this.#events.values()]
      .filter((event) => event.type === 'put' && event.key.startsWith(prefix))
      .map((event) => ({ value: new Uint8Array(), ...event }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    return { records, revision: this.#revision };
  }

  async scan(prefix: string, take: (some: readonly StoredRecord[]) => void): Promise<number> {
    const { records, revision } = await this.list(prefix);
    take(records);
    return revision;
  }

  async *watch(prefix: string, from: number, signal: AbortSignal): AsyncGenerator<StoreEvent> {
    const wake = (): void => this.#wake();
    signal.addEventListener('abort', wake);
    const breaks = this.#breaks;
    for (let cursor = from; !signal.aborted; ) {
      if (breaks !== this.#breaks) throw new TrustplaneError('ERR_STORE_UNAVAILABLE', 'broken');
      checkReplayable(cursor, 0, this.#revision);
      const next = [...this.#events.values()].find(({ revision }) => revision > cursor);
      cursor = next?.revision ?? cursor;
      if (next?.key.startsWith(prefix) === true) yield next;
      else if (next === undefined) await new Promise<void>((resolve) => this.#wakes.add(resolve));
    }
  }

  #change(event: StoreEvent): number {
    this.#revision = event.revision;
    this.#events.delete(event.key);
    this.#events.set(event.key, event);
    this.#wake();
    return event.revision;
  }

  #wake(): void {
    for (const wake of this.#wakes) wake();
    this.#wakes.clear();
  }
}
