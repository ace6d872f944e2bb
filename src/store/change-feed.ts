import { TrustplaneError } from '../spiffe/errors.ts';
import type { StoreEvent } from './store.ts';
import { storeLimits } from './store-rules.ts';

const MAX_RECENT_EVENTS = 1024;
const MAX_RECENT_BYTES = 4 * 1024 * 1024;

/** A part of what changed after a revision, in order, with the latest change of each key only. */
export interface ChangePage {
  readonly events: readonly StoreEvent[];
  /** The replay is complete up to this revision. */
  readonly upTo: number;
  /** Whether `upTo` was the bucket's revision, so that nothing more is there to replay. */
  readonly isLast: boolean;
}

/** Reads what changed after a revision. @throws TrustplaneError ERR_STORE_COMPACTED */
export type ReadChanges = (prefix: string, after: number) => Promise<ChangePage>;

/**
 * The changes of one bucket, handed to its watchers. A watcher is a cursor, not a queue: it takes
 * the next of the recent changes, and when it is too far behind for those it reads them from the
 * records, so that a slow watcher costs no memory.
 */
export class ChangeFeed {
  readonly #readChanges: ReadChanges;
  /** The oldest first. */
  readonly #recent: StoreEvent[] = [];
  #recentBytes = 0;
  /** What is recent is the latest change of each key after `#after` and up to `#upTo`. */
  #after: number;
  #upTo: number;
  readonly #sleepers = new Set<() => void>();
  #watchers = 0;
  #failure: TrustplaneError | undefined;

  /** @param revision after which all changes are published; without it that of the first without a hole before it */
  constructor(readChanges: ReadChanges, revision?: number) {
    this.#readChanges = readChanges;
    this.#after = revision ?? Number.POSITIVE_INFINITY;
    this.#upTo = revision ?? -1;
  }

  /** Takes in the change that follows the one taken in before; those between them were overwritten. */
  publish(event: StoreEvent): void {
    if (this.#upTo === -1) this.#after = event.revision - 1;
    this.#upTo = event.revision;
    this.#recent.push(event);
    this.#recentBytes += sizeOf(event);
    while (this.#recent.length > MAX_RECENT_EVENTS || this.#recentBytes > MAX_RECENT_BYTES) {
      const oldest = this.#recent.shift();
      if (oldest === undefined) break;
      this.#recentBytes -= sizeOf(oldest);
      this.#after = oldest.revision;
    }
    this.#wakeAll();
  }

  /** Ends every watch, now and later, with `error`. */
  fail(error: TrustplaneError): void {
    this.#failure ??= error;
    this.#wakeAll();
  }

  /** As `Bucket.watch`. */
  async *watch(prefix: string, from: number, signal: AbortSignal): AsyncGenerator<StoreEvent> {
    this.#admit();
    const wake = (): void => this.#wakeAll();
    signal.addEventListener('abort', wake);
    try {
      for (let cursor = from; this.#isOpen(signal); ) {
        if (this.#remembers(cursor)) {
          const event = this.#nextRecent(prefix, cursor);
          if (event !== undefined) yield event;
          cursor = event?.revision ?? this.#upTo;
          if (event === undefined) await this.#published(cursor, signal);
        } else {
          const page = await this.#readChanges(prefix, cursor);
          for (const event of page.events) {
            if (!this.#isOpen(signal)) return;
            yield event;
          }
          cursor = page.upTo;
          if (page.isLast) await this.#published(cursor, signal);
        }
      }
    } finally {
      signal.removeEventListener('abort', wake);
      this.#watchers--;
    }
  }

  #admit(): void {
    if (this.#watchers >= storeLimits.maxWatchersPerBucket) {
      throw new TrustplaneError(
        'ERR_STORE_BUSY',
        `the bucket has ${this.#watchers} watchers, the most allowed`,
      );
    }
    this.#watchers++;
  }

  #isOpen(signal: AbortSignal): boolean {
    if (signal.aborted) return false;
    if (this.#failure !== undefined) throw this.#failure;
    return true;
  }

  /** Whether every change after `cursor` is among the recent ones. */
  #remembers(cursor: number): boolean {
    return this.#after <= cursor && cursor <= this.#upTo;
  }

  #nextRecent(prefix: string, cursor: number): StoreEvent | undefined {
    for (let i = this.#firstAfter(cursor); i < this.#recent.length; i++) {
      if (this.#recent[i]?.key.startsWith(prefix)) return this.#recent[i];
    }
    return undefined;
  }

  #firstAfter(cursor: number): number {
    let low = 0;
    let high = this.#recent.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#recent[middle]?.revision ?? 0) <= cursor) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Resolves when there may be changes after `cursor`, or the watch should end. */
  async #published(cursor: number, signal: AbortSignal): Promise<void> {
    if (this.#upTo > cursor || signal.aborted || this.#failure !== undefined) return;
    await new Promise<void>((resolve) => this.#sleepers.add(resolve));
  }

  #wakeAll(): void {
    for (const wake of this.#sleepers) wake();
    this.#sleepers.clear();
  }
}

function sizeOf(event: StoreEvent): number {
  return event.key.length + (event.type === 'put' ? event.value.length : 0);
}
