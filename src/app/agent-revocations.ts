import { RevocationTable, revocationChanges } from '../facts/index.ts';
import type { AgentFacts, Revocation, RevocationSubject, SpiffeId } from '../spiffe/index.ts';
import type { RevocationSource } from '../svid/index.ts';

/** What a host knows, live. */
interface FactsSource {
  readonly facts: Pick<AgentFacts, 'revocations'>;
  watchAll(listener: () => void): () => void;
}

/** The revocations an agent was told of; whatever it asks about was issued through itself. */
export class AgentRevocations implements RevocationSource {
  readonly #source: FactsSource;
  readonly #agentId: () => SpiffeId | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #unwatch: () => void;
  readonly #table = new RevocationTable();
  #list: readonly Revocation[] = [];

  constructor(source: FactsSource, agentId: () => SpiffeId | undefined) {
    this.#source = source;
    this.#agentId = agentId;
    this.#follow();
    this.#unwatch = source.watchAll(() => this.#follow());
  }

  find(subject: RevocationSubject): Revocation | undefined {
    return this.#table.find({ agentId: this.#agentId(), ...subject });
  }

  /** The same list until something changes. */
  list(): readonly Revocation[] {
    return this.#list;
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
    const { revocations } = this.#source.facts;
    const changes = revocationChanges(this.#list, revocations);
    this.#list = revocations;
    if (changes.size === 0) return;
    this.#table.change(changes);
    for (const listener of this.#listeners) listener();
  }
}
