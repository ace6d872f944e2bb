import type { Log, Metrics } from '../ops/index.ts';
import {
  messageOf,
  type Revocation,
  type RevocationIndex,
  revocationIndexKey,
} from '../spiffe/index.ts';
import type { FeedTarget, StoredRecord, StoreEvent, StoreSnapshot } from '../store/index.ts';
import { decodeRevocation } from './revocation-record.ts';

/** One revocation that came or changed, or went (no `revocation`). */
export interface RevocationChange {
  readonly id: string;
  readonly revocation: Revocation | undefined;
}

interface Held {
  readonly revocation: Revocation;
  readonly revision: number;
}

/** The stored revocations in memory. One that cannot be read stays as it was known, and is named in the log. */
export class RevocationView implements FeedTarget {
  readonly #log: Log;
  readonly #held = new Map<string, Held>();
  readonly #index = new Map<string, Revocation>();
  readonly #listeners = new Set<(changes: readonly RevocationChange[]) => void>();
  /** What listeners were not told of yet, by ID. */
  readonly #untold = new Map<string, RevocationChange>();
  readonly #count;
  readonly #unreadable;
  #list: readonly Revocation[] | undefined;

  constructor({ log, metrics }: { readonly log: Log; readonly metrics: Metrics }) {
    this.#log = log;
    this.#count = metrics.gauge('trustplane_revocations_current_count', 'Revocations in force.');
    this.#unreadable = metrics.counter(
      'trustplane_revocations_unreadable_total',
      'Stored revocations that could not be read.',
    );
  }

  get size(): number {
    return this.#held.size;
  }

  /** The same list until something changes. */
  get list(): readonly Revocation[] {
    this.#list ??= [...this.#held.values()].map(({ revocation }) => revocation);
    return this.#list;
  }

  get index(): RevocationIndex {
    return this.#index;
  }

  at(id: string): Held | undefined {
    return this.#held.get(id);
  }

  /** What has expired by `instant`. */
  expired(instant: number): readonly Held[] {
    return [...this.#held.values()].filter(({ revocation }) => revocation.expiresAt <= instant);
  }

  watch(listener: (changes: readonly RevocationChange[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onSnapshot({ records }: StoreSnapshot): void {
    const gone = new Set(this.#held.keys());
    for (const record of records) {
      gone.delete(record.key);
      if (this.#held.get(record.key)?.revision !== record.revision) this.#put(record);
    }
    for (const id of gone) this.#drop(id);
  }

  onEvent(event: StoreEvent): void {
    if (event.type === 'put') this.#put(event);
    else this.#drop(event.key);
  }

  #put({ key, value, revision }: StoredRecord): void {
    try {
      const revocation = decodeRevocation(key, value);
      this.#held.set(key, { revocation, revision });
      this.#index.set(revocationIndexKey(revocation), revocation);
      this.#tell({ id: key, revocation });
    } catch (error) {
      this.#unreadable.inc();
      this.#log.error({ key, revision, error: messageOf(error) }, 'a stored revocation is ignored');
    }
  }

  #drop(id: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    this.#held.delete(id);
    this.#index.delete(revocationIndexKey(held.revocation));
    this.#tell({ id, revocation: undefined });
  }

  /** What one turn of the event loop brings is told together. */
  #tell(change: RevocationChange): void {
    this.#list = undefined;
    this.#count.set(this.#held.size);
    this.#untold.set(change.id, change);
    if (this.#untold.size > 1) return;
    setImmediate(() => {
      const changes = [...this.#untold.values()];
      this.#untold.clear();
      for (const listener of this.#listeners) listener(changes);
    });
  }
}
