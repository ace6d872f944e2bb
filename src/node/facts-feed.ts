import type { Log } from '../ops/index.ts';
import type { TrustDomain } from '../spiffe/index.ts';
import {
  type AgentFacts,
  type Clock,
  messageOf,
  type Timer,
  TrustplaneError,
} from '../spiffe/index.ts';
import { backoffMs } from './backoff.ts';
import { fetchFacts } from './fetch-facts.ts';
import type { Membership } from './membership.ts';
import type { NodeFacts } from './node-facts.ts';
import type { NodeMetrics } from './node-metrics.ts';

const POLL_MS = 5_000;
const JITTER = 0.1;
const LONGEST_RETRY_MS = 10_000;

export interface FactsFeedOptions {
  readonly trustDomain: TrustDomain;
  readonly membership: Membership;
  readonly facts: NodeFacts;
  readonly onFacts: (facts: AgentFacts) => void;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: NodeMetrics;
}

/** Keeps what this host may know up to date: asks a server every 5 s. */
export class FactsFeed {
  readonly #options: FactsFeedOptions;
  readonly #first = Promise.withResolvers<void>();
  #failures = 0;
  #fault: TrustplaneError | undefined;
  #pause: { readonly timer: Timer; readonly wake: () => void } | undefined;
  #isClosed = false;

  constructor(options: FactsFeedOptions) {
    this.#options = options;
  }

  /** Resolves when a server has told everything once. */
  get synced(): Promise<void> {
    return this.#first.promise;
  }

  /** Why nothing comes, while that is so. */
  get fault(): TrustplaneError | undefined {
    return this.#fault;
  }

  async run(): Promise<void> {
    await this.#options.membership.joined.catch(() => this.close());
    while (!this.#isClosed) {
      await this.#poll();
      await this.#sleep(this.#delayMs());
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#pause?.wake();
  }

  async #poll(): Promise<void> {
    const { membership, facts, onFacts, metrics, clock, log } = this.#options;
    try {
      const next = await membership.use((link) => fetchFacts(link, facts.facts, this.#options));
      if (this.#isClosed) return;
      facts.set(next);
      onFacts(facts.facts);
      this.#failures = 0;
      this.#fault = undefined;
      this.#first.resolve();
      metrics.updates.inc({ result: 'ok' });
      metrics.updatedAt.set(clock.now() / 1_000);
    } catch (error) {
      if (this.#isClosed) return;
      this.#failures++;
      this.#fault = asError(error);
      metrics.updates.inc({ result: 'failed' });
      log.warn({ code: this.#fault.code, error: messageOf(error) }, 'nothing new from the servers');
    }
  }

  #delayMs(): number {
    const { random } = this.#options;
    if (this.#failures === 0) return POLL_MS * (1 - JITTER + 2 * JITTER * random());
    return backoffMs(this.#failures, random(), { longestMs: LONGEST_RETRY_MS });
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#isClosed) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#pause?.timer.cancel();
        resolve();
      };
      this.#pause = { timer: this.#options.clock.setTimer(ms, wake), wake };
    });
  }
}

function asError(error: unknown): TrustplaneError {
  if (error instanceof TrustplaneError) return error;
  return new TrustplaneError('ERR_INTERNAL', messageOf(error), { cause: error });
}
