import { EntryIndex } from '../entries/index.ts';
import {
  type AgentFacts,
  type Clock,
  compareAge,
  isCurrent,
  type RegistrationEntry,
  type SelectorSet,
} from '../spiffe/index.ts';
import type { EntitlementSource } from '../svid/index.ts';

/** What a host knows, live. */
interface FactsSource {
  readonly facts: Pick<AgentFacts, 'entries'>;
  readonly isComplete: boolean;
  watchAll(listener: () => void): () => void;
}

/** The entries an agent was told of, by what workloads show; only what has changed is indexed anew. */
export class AgentEntitlements implements EntitlementSource {
  readonly #source: FactsSource;
  readonly #clock: Clock;
  readonly #index = new EntryIndex();
  readonly #listeners = new Set<() => void>();
  readonly #unwatch: () => void;
  #entries: ReadonlyMap<string, RegistrationEntry> = new Map();
  #wasComplete: boolean;

  constructor(source: FactsSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
    this.#wasComplete = source.isComplete;
    this.#take(source.facts.entries);
    this.#unwatch = source.watchAll(() => this.#follow());
  }

  match(selectors: SelectorSet): readonly RegistrationEntry[] {
    const found = this.#index.match(selectors).filter((entry) => this.#isCurrent(entry));
    return found.sort(compareAge);
  }

  get(entryId: string): RegistrationEntry | undefined {
    const entry = this.#entries.get(entryId);
    return entry !== undefined && this.#isCurrent(entry) ? entry : undefined;
  }

  isComplete(): boolean {
    return this.#source.isComplete;
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#unwatch();
    this.#listeners.clear();
  }

  #follow(): void {
    const { isComplete, facts } = this.#source;
    const isNews = this.#take(facts.entries) || isComplete !== this.#wasComplete;
    this.#wasComplete = isComplete;
    if (isNews) for (const listener of this.#listeners) listener();
  }

  #take(entries: ReadonlyMap<string, RegistrationEntry>): boolean {
    const before = this.#entries;
    if (entries === before) return false;
    this.#entries = entries;
    let isNews = false;
    for (const [id, entry] of before) {
      if (entries.get(id) === entry) continue;
      isNews = true;
      if (!entry.storeSvid) this.#index.remove(entry);
    }
    for (const [id, entry] of entries) {
      if (before.get(id) === entry) continue;
      isNews = true;
      if (!entry.storeSvid) this.#index.add(entry);
    }
    return isNews;
  }

  #isCurrent(entry: RegistrationEntry): boolean {
    return isCurrent(entry, this.#clock.now());
  }
}
