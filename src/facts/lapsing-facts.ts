import { type Clock, emptyBundle, type Timer } from '../spiffe/index.ts';
import type { Facts, FactsSource } from './facts.ts';

export interface LapsingFactsOptions {
  readonly source: FactsSource;
  /** Of the source's last word; undefined: there was none. */
  readonly ageMs: () => number | undefined;
  readonly maxAgeMs: number;
  readonly clock: Clock;
}

const EVERY_MS = 1_000;

/** Facts that nobody has confirmed for too long: the same without any key, so that nobody is trusted. */
export class LapsingFacts implements FactsSource {
  readonly #options: LapsingFactsOptions;
  readonly #listeners = new Set<() => void>();
  readonly #unwatch: () => void;
  #timer: Timer;
  #hasLapsed = false;
  #bare: { readonly of: Facts; readonly facts: Facts } | undefined;

  constructor(options: LapsingFactsOptions) {
    this.#options = options;
    this.#unwatch = options.source.watch(() => this.#tell());
    this.#timer = this.#nextLook();
  }

  get hasLapsed(): boolean {
    return this.#hasLapsed;
  }

  current(): Facts | undefined {
    const facts = this.#options.source.current();
    if (facts === undefined || !this.#hasLapsed) return facts;
    if (this.#bare?.of !== facts) this.#bare = { of: facts, facts: withoutKeys(facts) };
    return this.#bare.facts;
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#unwatch();
    this.#timer.cancel();
    this.#listeners.clear();
  }

  #nextLook(): Timer {
    const { clock, ageMs, maxAgeMs } = this.#options;
    return clock.setTimer(EVERY_MS, () => {
      const hasLapsed = (ageMs() ?? 0) > maxAgeMs;
      if (hasLapsed !== this.#hasLapsed) {
        this.#hasLapsed = hasLapsed;
        this.#tell();
      }
      this.#timer = this.#nextLook();
    });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

function withoutKeys(facts: Facts): Facts {
  const { own, terms } = facts.trust;
  return {
    ...facts,
    trust: { own: emptyBundle(own.trustDomain), federated: new Map(), terms },
  };
}
