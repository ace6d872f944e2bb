import type { Log, Metrics } from '../ops/index.ts';
import {
  type Clock,
  messageOf,
  type SuspensionSource,
  type Timer,
  type TrustDomain,
} from '../spiffe/index.ts';
import type { FeedTarget, StoredRecord, StoreEvent, StoreSnapshot } from '../store/index.ts';
import { type EntryClaim, EntryClaims } from './entry-claims.ts';
import { type EntryChange, EntryGraph } from './entry-graph.ts';
import { decodeEntryRecord } from './entry-record.ts';
import { SharedValues } from './shared-values.ts';
import { SuspendedEntries } from './suspended-entries.ts';

export interface EntryViewOptions {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Default: nothing is suspended. */
  readonly suspensions?: SuspensionSource | undefined;
  /** The claim's entry has just expired and left the view; its record is still in the store. */
  readonly onExpired: (claim: EntryClaim) => void;
}

/** The stored entries in memory: what each key holds, the entries that stand, and their expiry. */
export class EntryView implements FeedTarget {
  readonly claims: EntryClaims = new EntryClaims();
  readonly graph: EntryGraph = new EntryGraph();
  readonly suspended: SuspendedEntries;
  readonly #options: EntryViewOptions;
  readonly #timers = new Map<string, Timer>();
  readonly #shared = new SharedValues();
  readonly #unreadable;
  readonly #count;
  readonly #unwatch: (() => void) | undefined;
  #isLoaded = false;

  constructor(options: EntryViewOptions) {
    this.#options = options;
    const { metrics, suspensions } = options;
    this.suspended = new SuspendedEntries(suspensions);
    this.#unwatch = suspensions?.watch(() => this.#judgeAgain());
    this.#count = metrics.gauge(
      'trustplane_entries_current_count',
      'Registration entries that stand.',
    );
    this.#unreadable = metrics.counter(
      'trustplane_entries_unreadable_total',
      'Stored entries that could not be read and are not served.',
    );
  }

  /** A part of the first snapshot, before anybody follows. @throws TrustplaneError ERR_ENTRY_RECORD */
  take(some: readonly StoredRecord[]): void {
    this.#publish(
      some.flatMap(({ key, value, revision }) => this.#set(key, this.#read(key, value, revision))),
    );
  }

  /** The first snapshot is complete: from now on a bad record is left out. */
  onLoaded(): void {
    this.#isLoaded = true;
  }

  onSnapshot({ records }: StoreSnapshot): void {
    const gone = new Set(this.claims.keys);
    const changes: EntryChange[] = [];
    for (const { key, value, revision } of records) {
      gone.delete(key);
      if (this.claims.at(key)?.revision === revision) continue;
      changes.push(...this.#set(key, this.#read(key, value, revision)));
    }
    for (const key of gone) changes.push(...this.#set(key, undefined));
    this.#publish(changes);
  }

  onEvent(event: StoreEvent): void {
    const { key, revision } = event;
    if ((this.claims.at(key)?.revision ?? 0) >= revision) return;
    const claim = event.type === 'put' ? this.#read(key, event.value, revision) : undefined;
    this.#publish(this.#set(key, claim));
  }

  close(): void {
    this.#unwatch?.();
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  #publish(changes: readonly EntryChange[]): void {
    this.graph.apply(changes);
    this.#count.set(this.graph.size);
  }

  #read(key: string, value: Uint8Array, revision: number): EntryClaim | undefined {
    try {
      const { trustDomain } = this.#options;
      const { entry, firstRevision } = decodeEntryRecord(key, value, trustDomain, this.#shared);
      return {
        key,
        entry: this.suspended.judge(entry),
        revision,
        firstRevision: firstRevision ?? revision,
        bytes: value.length,
      };
    } catch (error) {
      if (!this.#isLoaded) throw error;
      this.#unreadable.inc();
      this.#options.log.error(
        { key, revision, error: messageOf(error) },
        'a stored entry is left out',
      );
      return undefined;
    }
  }

  #judgeAgain(): void {
    const claims = this.suspended.changed(this.graph).flatMap(({ id }) => this.claims.of(id));
    this.#publish(
      claims.flatMap((claim) =>
        this.#set(claim.key, { ...claim, entry: this.suspended.judge({ ...claim.entry }) }),
      ),
    );
  }

  #set(key: string, claim: EntryClaim | undefined): readonly EntryChange[] {
    this.#timers.get(key)?.cancel();
    this.#timers.delete(key);
    const expiresAt = claim?.entry.expiresAt;
    if (claim === undefined || expiresAt === undefined) return this.claims.set(key, claim);
    const leftMs = expiresAt - this.#options.clock.now();
    this.#timers.set(
      key,
      this.#options.clock.setTimer(leftMs, () => this.#expire(claim)),
    );
    return this.claims.set(key, leftMs > 0 ? claim : undefined);
  }

  /** The wall clock may have been set back since the timer was. */
  #expire(claim: EntryClaim): void {
    const isDue = (claim.entry.expiresAt ?? 0) <= this.#options.clock.now();
    this.#publish(this.#set(claim.key, isDue ? undefined : claim));
    if (isDue) this.#options.onExpired(claim);
  }
}
