import {
  type AgentFacts,
  buildRevocationIndex,
  findRevocation,
  type Revocation,
  type RevocationIndex,
  type RevocationSubject,
  type SpiffeId,
} from '../spiffe/index.ts';
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
  #list: readonly Revocation[];
  #index: RevocationIndex;

  constructor(source: FactsSource, agentId: () => SpiffeId | undefined) {
    this.#source = source;
    this.#agentId = agentId;
    this.#list = source.facts.revocations;
    this.#index = buildRevocationIndex(this.#list);
    this.#unwatch = source.watchAll(() => this.#follow());
  }

  find(subject: RevocationSubject): Revocation | undefined {
    return findRevocation(this.#index, { agentId: this.#agentId(), ...subject });
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
    const before = this.#list;
    this.#list = revocations;
    const isSame =
      revocations.length === before.length &&
      revocations.every((revocation, index) => revocation === before[index]);
    if (isSame) return;
    this.#index = buildRevocationIndex(revocations);
    for (const listener of this.#listeners) listener();
  }
}
