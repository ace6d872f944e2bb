import type { Log } from '../ops/index.ts';
import { type Clock, type ErrorCode, messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { Bucket, StoredRecord, StoreEvent, StoreSnapshot } from './store.ts';

const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 10_000;
/** How long what other servers know already may take to come here. */
const CATCH_UP_MS = 5_000;
/** Of no key; with a full stop, as stores find what begins with whole names by them. */
const NOTHING = '-.';

/** What is done with what the store says. */
export interface FeedTarget {
  /** Replaces everything. */
  onSnapshot(snapshot: StoreSnapshot): void;
  onEvent(event: StoreEvent): void;
}

export interface BucketFeedOptions {
  readonly bucket: Bucket;
  /** Of the keys that are followed; default: all. */
  readonly prefix?: string;
  /** For the log: what is followed, such as `entries`. */
  readonly what: string;
  readonly target: FeedTarget;
  readonly clock: Clock;
  readonly log: Log;
  /** Of what `reached` rejects with after `close`; default ERR_STORE_UNAVAILABLE. */
  readonly closedCode?: ErrorCode;
}

/** Follows a bucket: a snapshot, every change after it, and after any doubt a snapshot again. */
export class BucketFeed {
  readonly #options: BucketFeedOptions;
  readonly #prefix: string;
  readonly #stop = new AbortController();
  /** By revision. */
  #waiting: { revision: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  #revision = 0;
  #wake = (): void => {};
  #isSetBack = false;
  /** Ends the watch that is under way; then all is read again. */
  #reread = new AbortController();

  constructor(options: BucketFeedOptions) {
    this.#options = options;
    this.#prefix = options.prefix ?? '';
  }

  /** The revision up to which the target knows the bucket. */
  get revision(): number {
    return this.#revision;
  }

  /** Takes the first snapshot. @throws whatever the store or the target throws */
  async load(): Promise<void> {
    const snapshot = await this.#options.bucket.list(this.#prefix);
    this.#options.target.onSnapshot(snapshot);
    this.#advance(snapshot.revision);
  }

  /**
   * The first time, as `load`, for a target that can take a snapshot in parts.
   * @throws whatever the store or `take` throws
   */
  async loadInParts(take: (some: readonly StoredRecord[]) => void): Promise<void> {
    this.#advance(await this.#options.bucket.scan(this.#prefix, take));
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
        const { what, log } = this.#options;
        log.warn(
          { what, error: messageOf(error), retryMs },
          'a feed broke; reading all of it again',
        );
      }
      if (this.#reread.signal.aborted) continue;
      if (!this.#stop.signal.aborted) await this.#pause(retryMs);
      retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
    }
  }

  /** Resolves when the target knows everything up to `revision`. @throws TrustplaneError `closedCode` */
  async reached(revision: number): Promise<void> {
    await this.#reach(revision);
  }

  /**
   * Resolves when the target knows what another server's did at `revision` of its feed of the same keys. After 5 s
   * the store is asked whether it was ever there: one that was set back to an earlier state never is.
   * @throws TrustplaneError ERR_STORE_BEHIND when it is and what came since is not here yet; `closedCode`, ERR_STORE_*
   */
  async catchUp(revision: number): Promise<void> {
    if (this.#revision >= revision) return;
    const { bucket, clock, what } = this.#options;
    // The other may have read the bucket when its last changes were of other keys, of which none come here.
    if (this.#prefix !== '') this.#reread.abort();
    const late = new AbortController();
    const timer = clock.setTimer(CATCH_UP_MS, () => late.abort());
    await this.#reach(revision, late.signal).finally(() => timer.cancel());
    if (this.#revision >= revision) return;
    if ((await bucket.list(NOTHING)).revision < revision) return this.#sayIsSetBack(revision);
    throw new TrustplaneError(
      'ERR_STORE_BEHIND',
      `the registry of ${what} is at revision ${this.#revision} and does not know revision ${revision} yet; try again, or another server`,
    );
  }

  /** Resolves when the target knows all that the store has now. @throws TrustplaneError as `catchUp` */
  async catchUpNow(): Promise<void> {
    await this.catchUp((await this.#options.bucket.list(NOTHING)).revision);
  }

  /** Has all of it read again, soon. */
  readAgain(): void {
    this.#reread.abort();
  }

  close(): void {
    this.#stop.abort();
    this.#wake();
    for (const waiter of this.#waiting) waiter.reject(this.#closedError());
    this.#waiting = [];
  }

  /** Once: agents may come by the thousand. */
  #sayIsSetBack(revision: number): void {
    if (this.#isSetBack) return;
    this.#isSetBack = true;
    const { what, log } = this.#options;
    log.error(
      { what, revision, known: this.#revision },
      'others know a later revision than the store has: it is an old copy, or another store than before',
    );
  }

  /** Resolves also when `signal` aborts. */
  async #reach(revision: number, signal?: AbortSignal): Promise<void> {
    if (this.#revision >= revision) return;
    if (this.#stop.signal.aborted) throw this.#closedError();
    await new Promise<void>((resolve, reject) => {
      const waiter = { revision, resolve, reject };
      // Nearly always behind the last: revisions rise.
      const at = this.#waiting.findLastIndex((other) => other.revision <= revision) + 1;
      this.#waiting.splice(at, 0, waiter);
      signal?.addEventListener('abort', () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        resolve();
      });
    });
  }

  #events(): AsyncIterable<StoreEvent> {
    this.#reread = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, this.#reread.signal]);
    return this.#options.bucket.watch(this.#prefix, this.#revision, signal);
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

  #closedError(): TrustplaneError {
    const { closedCode = 'ERR_STORE_UNAVAILABLE', what } = this.#options;
    return new TrustplaneError(closedCode, `the registry of ${what} is closed`);
  }
}
