import type { Log, Metrics } from '../ops/index.ts';
import {
  messageOf,
  type Suspension,
  type SuspensionKind,
  type SuspensionSubject,
} from '../spiffe/index.ts';
import type { FeedTarget, StoredRecord, StoreEvent, StoreSnapshot } from '../store/index.ts';
import { LIFTED_KEPT_MS } from './lasting-suspensions.ts';
import { decodeSuspension, type SuspensionFact } from './suspension-record.ts';

interface Held {
  readonly fact: SuspensionFact;
  readonly revision: number;
}

/** The stored suspensions in memory. One that cannot be read stays as it was known, and is named in the log. */
export class SuspensionView implements FeedTarget {
  readonly #log: Log;
  readonly #held = new Map<string, Held>();
  /** Those in force, by kind and value. */
  readonly #active = new Map<string, Suspension>();
  readonly #listeners = new Set<() => void>();
  readonly #count;
  #list: readonly Suspension[] | undefined;

  constructor({ log, metrics }: { readonly log: Log; readonly metrics: Metrics }) {
    this.#log = log;
    this.#count = metrics.gauge('trustplane_revocations_suspended_count', 'Suspensions in force.');
  }

  get size(): number {
    return this.#held.size;
  }

  /** Also those that were lifted. */
  get facts(): readonly SuspensionFact[] {
    return [...this.#held.values()].map(({ fact }) => fact);
  }

  /** Those in force: the same list until something changes. */
  get list(): readonly Suspension[] {
    this.#list ??= [...this.#active.values()];
    return this.#list;
  }

  at(id: string): Held | undefined {
    return this.#held.get(id);
  }

  find({ spiffeId, entryId, agentId }: SuspensionSubject): Suspension | undefined {
    if (this.#active.size === 0) return undefined;
    const find = (kind: SuspensionKind, value: string | undefined): Suspension | undefined =>
      value === undefined ? undefined : this.#active.get(activeKey({ kind, value }));
    return (
      find('entry', entryId) ??
      find('spiffe-id', spiffeId.toString()) ??
      find('agent', agentId?.toString())
    );
  }

  /** What was lifted so long ago that nobody needs to know, at `instant`. */
  outdated(instant: number): readonly Held[] {
    return [...this.#held.values()].filter(
      ({ fact: { lifted } }) => lifted !== undefined && lifted.at + LIFTED_KEPT_MS <= instant,
    );
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onSnapshot({ records }: StoreSnapshot): void {
    const gone = new Set(this.#held.keys());
    let isNews = false;
    for (const record of records) {
      gone.delete(record.key);
      if (this.#held.get(record.key)?.revision !== record.revision) {
        isNews = this.#put(record) || isNews;
      }
    }
    for (const id of gone) isNews = this.#drop(id) || isNews;
    if (isNews) this.#tell();
  }

  onEvent(event: StoreEvent): void {
    if (event.type === 'put' ? this.#put(event) : this.#drop(event.key)) this.#tell();
  }

  /** True when what is in force has changed. */
  #put({ key, value, revision }: StoredRecord): boolean {
    try {
      const fact = decodeSuspension(key, value);
      this.#held.set(key, { fact, revision });
      const index = activeKey(fact);
      if (fact.lifted !== undefined) return this.#active.delete(index);
      this.#active.set(index, fact);
      return true;
    } catch (error) {
      this.#log.error({ key, revision, error: messageOf(error) }, 'a stored suspension is ignored');
      return false;
    }
  }

  #drop(id: string): boolean {
    const held = this.#held.get(id);
    if (held === undefined) return false;
    this.#held.delete(id);
    return this.#active.delete(activeKey(held.fact));
  }

  #tell(): void {
    this.#list = undefined;
    this.#count.set(this.#active.size);
    for (const listener of this.#listeners) listener();
  }
}

function activeKey({ kind, value }: Pick<Suspension, 'kind' | 'value'>): string {
  return `${kind} ${value}`;
}
