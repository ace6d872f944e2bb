import type { Log } from '../ops/log.ts';
import type { Clock } from '../spiffe/clock.ts';
import type { ChangePage } from './change-feed.ts';
import type { JetStreamApi } from './jetstream-api.ts';
import type { WriteBudget } from './jetstream-budget.ts';
import { NoAnswerError } from './jetstream-errors.ts';
import { type HorizonKeeper, JetStreamFollower } from './jetstream-follower.ts';
import { JetStreamMarkers } from './jetstream-markers.ts';
import { withPatience } from './jetstream-patience.ts';
import type { JetStreamPlace } from './jetstream-place.ts';
import { MarkerPurge } from './jetstream-purge.ts';
import { fetchLast, readMessages, streamState } from './jetstream-reader.ts';
import { readRecord } from './jetstream-record.ts';
import { JetStreamWriter } from './jetstream-writer.ts';
import { listByScan } from './list-by-scan.ts';
import { packRecords, unpackRecords } from './packed-records.ts';
import type { Bucket, StoredRecord, StoreEvent, StoreSnapshot } from './store.ts';
import { checkKey, checkPrefix, checkReplayable, checkValue } from './store-rules.ts';

const MAX_PAGE_EVENTS = 1024;
const MAX_PAGE_BYTES = 4 * 1024 * 1024;

export interface JetStreamBucketOptions {
  readonly api: JetStreamApi;
  readonly place: JetStreamPlace;
  readonly clock: Clock;
  readonly log: Log;
  readonly budget: WriteBudget;
  readonly createId: () => string;
  readonly horizon: HorizonKeeper;
  /** Told what is wrong with the stream, and (undefined) when it is well again. */
  readonly onHealth: (fault: string | undefined) => void;
}

/** A bucket in a stream that several servers write and read. */
export class JetStreamBucket implements Bucket {
  readonly #options: JetStreamBucketOptions;
  readonly #markers: JetStreamMarkers;
  readonly #follower: JetStreamFollower;
  readonly #writer: JetStreamWriter;

  constructor(options: JetStreamBucketOptions) {
    const { clock } = options;
    const markers = new JetStreamMarkers(clock);
    const purge = new MarkerPurge({ ...options, markers });
    const follower = new JetStreamFollower({
      ...options,
      markers,
      readChanges: (prefix, after) => this.#readChanges(prefix, after),
      onRound: (state) => purge.run(state.created),
    });
    this.#options = options;
    this.#markers = markers;
    this.#follower = follower;
    this.#writer = new JetStreamWriter({
      ...options,
      markers,
      knownRevision: () => follower.revision,
      onWritten: (change, above) => follower.written(change, above),
    });
  }

  /** @throws TrustplaneError ERR_STORE_* */
  async open(): Promise<void> {
    await this.#follower.open();
  }

  async get(key: string): Promise<StoredRecord | undefined> {
    checkKey(key);
    const { api, place } = this.#options;
    const message = await this.#read(() => fetchLast(api, place, key));
    if (message === undefined) return undefined;
    const { event } = readRecord(place, message);
    return event.type === 'put' ? recordOf(event) : undefined;
  }

  async put(key: string, value: Uint8Array, expected?: number): Promise<number> {
    checkKey(key);
    checkValue(key, value);
    return await this.#writer.put(key, value.slice(), expected);
  }

  async delete(key: string, expected?: number): Promise<number | undefined> {
    checkKey(key);
    return await this.#writer.delete(key, expected);
  }

  async list(prefix: string): Promise<StoreSnapshot> {
    return await listByScan(this, prefix);
  }

  /** Holds all the records once before it hands on the first: a stream has them in another order. */
  async scan(prefix: string, take: (some: readonly StoredRecord[]) => void): Promise<number> {
    checkPrefix(prefix);
    const { events, revision } = await this.#read(() => this.#latest(prefix));
    const records = [...events.values()]
      .filter((event) => event.type === 'put')
      .map(recordOf)
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    events.clear();
    for (const pack of packRecords(records)) take(unpackRecords(pack));
    return revision;
  }

  watch(prefix: string, from: number, signal: AbortSignal): AsyncIterable<StoreEvent> {
    checkPrefix(prefix);
    return this.#follower.feed.watch(prefix, from, signal);
  }

  /** Resolves when no write is on its way. */
  async drain(): Promise<void> {
    await this.#writer.drain();
  }

  close(): void {
    this.#follower.close();
  }

  /** The latest change of each key with the prefix, at one revision. */
  async #latest(prefix: string): Promise<{ events: Map<string, StoreEvent>; revision: number }> {
    const { api, place, clock } = this.#options;
    const events = new Map<string, StoreEvent>();
    const { upTo } = await readMessages(
      { api, place, clock, after: 0, filter: place.filterOf(prefix) },
      (message) => {
        const { event } = readRecord(place, message);
        if (event.key.startsWith(prefix)) events.set(event.key, event);
      },
    );
    if (prefix === '') await this.#checkWhole(upTo, events.size);
    return { events, revision: upTo };
  }

  /** A replica that lost records on its disk leaves them out; another one may have them. */
  async #checkWhole(revision: number, count: number): Promise<void> {
    const { api, place } = this.#options;
    const state = await streamState(api, place);
    if (state.revision !== revision || state.messages <= count) return;
    const lost = state.messages - count;
    throw new NoAnswerError(`a nats-server lacks ${lost} records of ${place.stream}`, false);
  }

  async #readChanges(prefix: string, after: number): Promise<ChangePage> {
    return await this.#read(async () => {
      const { api, place, clock, horizon } = this.#options;
      const limits = { maxMessages: MAX_PAGE_EVENTS, maxBytes: MAX_PAGE_BYTES };
      const events: StoreEvent[] = [];
      const start = Number.isSafeInteger(after) ? Math.max(after, 0) : 0;
      const end = await readMessages({ api, place, clock, after: start, ...limits }, (message) => {
        const { event } = readRecord(place, message);
        if (event.key.startsWith(prefix)) events.push(event);
      });
      // Only now: what went while the page was read has raised it before.
      this.#markers.raiseHorizon(await horizon.read(this.#follower.created));
      checkReplayable(after, this.#markers.horizon, Math.max(end.upTo, this.#follower.revision));
      return { events, ...end };
    });
  }

  /** @throws TrustplaneError ERR_STORE_* */
  async #read<T>(attempt: () => Promise<T>): Promise<T> {
    const { budget, clock, place } = this.#options;
    return await budget.read(() => withPatience(clock, `the stream ${place.stream}`, attempt));
  }
}

function recordOf({ key, value, revision }: StoreEvent & { readonly type: 'put' }): StoredRecord {
  return { key, value, revision };
}
