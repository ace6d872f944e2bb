import type { Facts, FactsSource } from '../../src/facts/index.ts';
import { numberedBundle } from './sync-world.ts';

/** What is known at first: one bundle without keys. */
export const startFacts: Facts = {
  trust: { own: numberedBundle('a.test', 1), federated: new Map(), terms: new Map() },
  revocations: [],
};

/** Facts that the test sets. */
export class FakeFacts implements FactsSource {
  readonly #listeners = new Set<() => void>();
  #facts: Facts | undefined;

  constructor(facts?: Facts) {
    this.#facts = facts;
  }

  current(): Facts | undefined {
    return this.#facts;
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(change: Partial<Facts>): void {
    this.#facts = { ...(this.#facts ?? startFacts), ...change };
    for (const listener of this.#listeners) listener();
  }
}
