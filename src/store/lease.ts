import type { Log } from '../ops/index.ts';
import { type Clock, messageOf, type Timer } from '../spiffe/index.ts';
import { BucketFeed } from './bucket-feed.ts';
import { decodeLease, encodeLease, type LeaseRecord } from './lease-record.ts';
import type { Bucket, StoredRecord } from './store.ts';
import { unlessConflict } from './unless-conflict.ts';

/** Of the ttl: when it is renewed, when a write that failed is tried again, and how long another's has to stand unchanged to be over. */
const shares = { renew: 1 / 3, retry: 1 / 15, over: 1.1 } as const;

type Stored = Pick<StoredRecord, 'value' | 'revision'>;

/** For how long it is held, by the clock and by a timer, whichever ends first. */
interface Held {
  readonly from: number;
  readonly until: number;
  readonly ending: Timer;
}

export interface LeaseOptions {
  /** The bucket `leases`. */
  readonly bucket: Bucket;
  readonly key: string;
  /** Who takes it; no two at a time have the same. */
  readonly holder: string;
  readonly ttlMs: number;
  /** What is said beside, as JSON; asked at each renewal. */
  readonly about?: () => unknown;
  /** Whether a holder is surely gone, so that its lease need not run out. */
  readonly isGone?: (record: LeaseRecord) => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * One key that one holder has at a time, by compare-and-set and time. No two clocks are compared: the
 * holder counts its time from before it wrote, and who waits counts from after it saw what was written.
 * It may be lost between a look at `isMine` and what is done then, so that has to be harmless when two do it.
 */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #feed: BucketFeed;
  readonly #listeners = new Set<() => void>();
  /** Undefined while nobody has it, or what stands there cannot be read. */
  #record: LeaseRecord | undefined;
  /** Of the key; 0 when it does not exist. */
  #revision = 0;
  #held: Held | undefined;
  #timer: Timer | undefined;
  #trying: Promise<number> | undefined;
  /** The revision that was last heard of while it was written. */
  #heard = 0;
  /** To be tried again after what is under way. */
  #isDue = false;
  #following: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor(options: LeaseOptions) {
    this.#options = options;
    const { key } = options;
    this.#feed = new BucketFeed({
      ...options,
      prefix: key,
      what: 'leases',
      target: {
        onSnapshot: ({ records }) => this.#hear(records.find((record) => record.key === key)),
        onEvent: (event) => {
          if (event.key !== key || event.revision <= this.#revision) return;
          this.#hear(event.type === 'put' ? event : undefined, event.revision);
        },
      },
    });
  }

  /** Resolves after the first attempt to have it. @throws TrustplaneError ERR_STORE_* when it cannot be read */
  static async open(options: LeaseOptions): Promise<Lease> {
    const lease = new Lease(options);
    await lease.#feed.load();
    lease.#following = lease.#feed.follow();
    await lease.#trying;
    return lease;
  }

  /** False also when the process stood still, or the clock was set, for longer than it lasts. */
  get isMine(): boolean {
    const now = this.#options.clock.now();
    return this.#held !== undefined && now >= this.#held.from && now < this.#held.until;
  }

  /** Of whoever has it, as it was last seen. */
  get record(): LeaseRecord | undefined {
    return this.#record;
  }

  /** Calls the listener when it is got or lost, and when another takes or renews it; returns the way to stop. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Says anew, and soon, what is said beside. */
  renew(): void {
    if (this.#held !== undefined) this.#tryIn(0);
  }

  /** Frees it where it is held; never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#feed.close();
    await Promise.all([this.#trying, this.#following]);
    if (this.#held === undefined) return;
    this.#lose();
    const { bucket, key, log } = this.#options;
    try {
      await bucket.delete(key, this.#revision);
    } catch (error) {
      log.warn({ lease: key, error: messageOf(error) }, 'a lease was not freed; it runs out');
    }
  }

  #hear(stored: Stored | undefined, revision: number = Number.POSITIVE_INFINITY): void {
    const isSame = stored !== undefined && stored.revision === this.#revision;
    if (this.#isClosed || isSame) return;
    if (this.#trying === undefined) this.#tryIn(this.#look(stored));
    else this.#heard = stored?.revision ?? revision;
  }

  /** Takes in what stands there now; returns after how long it may be there to be had. */
  #look(stored: Stored | undefined): number {
    const { holder, ttlMs, isGone } = this.#options;
    this.#revision = stored?.revision ?? 0;
    this.#record = stored && decodeLease(stored.value);
    const isOwn = this.#record?.holder === holder;
    if (!isOwn) {
      this.#lose();
      this.#tell();
    }
    const isFree = stored === undefined || isOwn || (this.#record && isGone?.(this.#record));
    return isFree === true ? 0 : (this.#record?.ttlMs ?? ttlMs) * shares.over;
  }

  #tryIn(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#isClosed) return;
    if (delayMs > 0) this.#timer = this.#options.clock.setTimer(delayMs, () => this.#tryIn(0));
    else void this.#try();
  }

  /** One at a time; never rejects. */
  async #try(): Promise<void> {
    if (this.#trying !== undefined) {
      this.#isDue = true;
      return;
    }
    this.#heard = 0;
    this.#isDue = false;
    this.#trying = this.#attempt();
    const delayMs = await this.#trying;
    this.#trying = undefined;
    this.#tryIn(this.#isDue || this.#heard > this.#revision ? 0 : delayMs);
  }

  /** Returns after how long to try again. */
  async #attempt(): Promise<number> {
    const { bucket, key, ttlMs, clock, log } = this.#options;
    const from = clock.now();
    let isOver = false;
    const ending = clock.setTimer(ttlMs, () => {
      isOver = true;
      if (this.#held?.ending === ending) this.#lose();
    });
    try {
      if (await this.#write(from)) {
        if (!isOver) this.#hold({ from, until: from + ttlMs, ending });
        return ttlMs * (isOver ? shares.retry : shares.renew);
      }
      ending.cancel();
      return this.#look(await bucket.get(key));
    } catch (error) {
      ending.cancel();
      log.warn({ lease: key, error: messageOf(error) }, 'a lease could not be written');
      return ttlMs * shares.retry;
    }
  }

  /** False when something else stands there than was last seen. */
  async #write(renewedAt: number): Promise<boolean> {
    const { bucket, key, holder, ttlMs, about } = this.#options;
    const record: LeaseRecord = { holder, ttlMs, renewedAt, about: about?.() };
    const expected = this.#revision;
    const revision = await unlessConflict(() => bucket.put(key, encodeLease(record), expected));
    if (revision === undefined) return false;
    this.#revision = revision;
    this.#record = record;
    return true;
  }

  #hold(held: Held): void {
    const wasHeld = this.#held !== undefined;
    this.#held?.ending.cancel();
    this.#held = held;
    if (!wasHeld) this.#tell();
  }

  #lose(): void {
    if (this.#held === undefined) return;
    this.#held.ending.cancel();
    this.#held = undefined;
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
