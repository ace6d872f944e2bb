import type { Log, Metrics } from '../ops/index.ts';
import {
  buildRevocationIndex,
  messageOf,
  type Revocation,
  type RevocationIndex,
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
  readonly #listeners = new Set<(changes: readonly RevocationChange[]) => void>();
  readonly #count;
  readonly #unreadable;
  #list: readonly Revocation[] | undefined;
  #index: RevocationIndex | undefined;

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
    this.#index ??= buildRevocationIndex(this.list);
    return this.#index;
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
    const changes: RevocationChange[] = [];
    for (const record of records) {
      gone.delete(record.key);
      if (this.#held.get(record.key)?.revision === record.revision) continue;
      const change = this.#put(record);
      if (change !== undefined) changes.push(change);
    }
    for (const id of gone) if (this.#held.delete(id)) changes.push({ id, revocation: undefined });
    this.#publish(changes);
  }

  onEvent(event: StoreEvent): void {
    const { key: id } = event;
    if (event.type === 'put') {
      const change = this.#put(event);
      if (change !== undefined) this.#publish([change]);
    } else if (this.#held.delete(id)) {
      this.#publish([{ id, revocation: undefined }]);
    }
  }

  #put({ key, value, revision }: StoredRecord): RevocationChange | undefined {
    try {
      const revocation = decodeRevocation(key, value);
      this.#held.set(key, { revocation, revision });
      return { id: key, revocation };
    } catch (error) {
      this.#unreadable.inc();
      this.#log.error({ key, revision, error: messageOf(error) }, 'a stored revocation is ignored');
      return undefined;
    }
  }

  #publish(changes: readonly RevocationChange[]): void {
    if (changes.length === 0) return;
    this.#list = undefined;
    this.#index = undefined;
    this.#count.set(this.#held.size);
    for (const listener of this.#listeners) listener(changes);
  }
}
