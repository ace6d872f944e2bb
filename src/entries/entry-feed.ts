import type { Log } from '../ops/index.ts';
import { type Clock, messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { Bucket, StoreEvent, StoreSnapshot } from '../store/index.ts';

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 10_000;

/** What is done with what the store says. */
export interface FeedTarget {
  /** Replaces everything. */
  onSnapshot(snapshot: StoreSnapshot): void;
  onEvent(event: StoreEvent): void;
}

export interface FeedOptions {
  readonly bucket: Bucket;
  readonly target: FeedTarget;
  readonly clock: Clock;
  readonly log: Log;
}

/** Follows a bucket: a snapshot, every change after it, and after any doubt a snapshot again. */
export class EntryFeed {
  readonly #options: FeedOptions;
  readonly #stop = new AbortController();
  /** By revision. */
  #waiting: { revision: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  #revision = 0;
  #wake = (): void => {};

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** The revision up to which the target knows the bucket. */
  get revision(): number {
    return this.#revision;
  }

  /** Takes the first snapshot. @throws whatever the store or the target throws */
  async load(): Promise<void> {
    const snapshot = await this.#options.bucket.list('');
    this.#options.target.onSnapshot(snapshot);
    this.#advance(snapshot.revision);
  }

  /** Follows until `close`; never rejects. Goes on after `load`. */
  async follow(): Promise<void> {
    let isCurrent = true;
    let retryMs = FIRST_RETRY_MS;
    while (!this.#stop.signal.aborted) {
      try {
        if (!isCurrent) await this.load();
        isCurrent = false;
        for await (const event of this.#events()) {
          this.#options.target.onEvent(event);
          this.#advance(event.revision);
          retryMs = FIRST_RETRY_MS;
        }
      } catch (error) {
        const fields = { error: messageOf(error), retryMs };
        this.#options.log.warn(fields, 'the feed of entries broke; reading all of them again');
      }
      if (!this.#stop.signal.aborted) await this.#pause(retryMs);
      retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
    }
  }

  /** Resolves when the target knows everything up to `revision`. @throws TrustplaneError ERR_ENTRY_CLOSED */
  async reached(revision: number): Promise<void> {
    if (this.#revision >= revision) return;
    if (this.#stop.signal.aborted) throw closed();
    await new Promise<void>((resolve, reject) => {
      // Nearly always behind the last: revisions rise.
      const at = this.#waiting.findLastIndex((other) => other.revision <= revision) + 1;
      this.#waiting.splice(at, 0, { revision, resolve, reject });
    });
  }

  close(): void {
    this.#stop.abort();
    this.#wake();
    for (const waiter of this.#waiting) waiter.reject(closed());
    this.#waiting = [];
  }

  #events(): AsyncIterable<StoreEvent> {
    return this.#options.bucket.watch('', this.#revision, this.#stop.signal);
  }

  #advance(revision: number): void {
    this.#revision = revision;
    while ((this.#waiting[0]?.revision ?? Number.POSITIVE_INFINITY) <= revision) {
      this.#waiting.shift()?.resolve();
    }
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#options.clock.setTimer(ms, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

function closed(): TrustplaneError {
  return new TrustplaneError('ERR_ENTRY_CLOSED', 'the entry registry is closed');
}
