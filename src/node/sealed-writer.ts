import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, messageOf, type Timer, TrustplaneError } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import { type Seal, sealValue } from './sealed-value.ts';

const MAX_BATCH = 512;
const RETRY_MS = 5_000;

/** What a name is to hold; undefined: nothing. */
type Make = () => Uint8Array | undefined;

export interface SealedWriterOptions {
  readonly bucket: Bucket;
  readonly seal: Seal;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * Brings the records of a bucket to what they are to be: sealed, the latest of each name only, what
 * failed again after 5 s.
 */
export class SealedWriter {
  readonly #options: SealedWriterOptions;
  readonly #failures: { inc(): void };
  /** By name, in the order they are written. */
  readonly #pending = new Map<string, Make>();
  #running: Promise<void> | undefined;
  #retry: Timer | undefined;
  /** The last one. */
  #failure: unknown;
  #isClosed = false;

  constructor(options: SealedWriterOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#failures = metrics.counter(
      'trustplane_node_cache_failures_total',
      "Attempts to write the agent's cache that failed.",
    );
    metrics.readGauge(
      'trustplane_node_cache_waiting_values',
      "Values that are not in the agent's cache yet and would be lost with the process.",
      (set) => set({}, this.#pending.size),
    );
  }

  /** Resolves when the records are durable, or with why they could not be written this time. */
  async write(
    changes: readonly (readonly [name: string, make: Make])[],
  ): Promise<Error | undefined> {
    for (const [name, make] of changes) {
      // Behind what it now depends on.
      this.#pending.delete(name);
      this.#pending.set(name, make);
    }
    // A batch under way does not hold these yet.
    await this.#running;
    await this.#run();
    if (changes.every(([name, make]) => this.#pending.get(name) !== make)) return undefined;
    return this.#failure instanceof Error ? this.#failure : new Error('the cache is not written');
  }

  async close(): Promise<void> {
    this.#retry?.cancel();
    await this.#running;
    if (this.#pending.size > 0) await this.#run();
    this.#isClosed = true;
    this.#retry?.cancel();
  }

  #run(): Promise<void> {
    this.#running ??= this.#flush().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #flush(): Promise<void> {
    this.#retry?.cancel();
    while (this.#pending.size > 0 && !this.#isClosed) {
      const batch = [...this.#pending].slice(0, MAX_BATCH);
      for (const [name] of batch) this.#pending.delete(name);
      const failures = await Promise.all(batch.map(([name, make]) => this.#put(name, make)));
      const error = failures.find((failure) => failure !== undefined);
      if (error === undefined) continue;
      this.#postpone(
        batch.filter((_, index) => failures[index] !== undefined),
        error,
      );
      return;
    }
  }

  /** Returns why it failed. */
  async #put(name: string, make: Make): Promise<unknown> {
    const { bucket, seal } = this.#options;
    try {
      const value = make();
      if (value === undefined) await bucket.delete(name);
      else await bucket.put(name, sealValue(seal, name, value));
      return undefined;
    } catch (error) {
      return error ?? new Error('it failed');
    }
  }

  #postpone(failed: readonly (readonly [string, Make])[], error: unknown): void {
    for (const [name, make] of failed) if (!this.#pending.has(name)) this.#pending.set(name, make);
    const code = error instanceof TrustplaneError ? error.code : undefined;
    const { size: waiting } = this.#pending;
    const { clock, log } = this.#options;
    this.#failure = error;
    this.#failures.inc();
    log.error({ code, error: messageOf(error), waiting }, 'the cache cannot be written');
    if (code === 'ERR_STORE_UNAVAILABLE') return;
    this.#retry = clock.setTimer(RETRY_MS, () => void this.#run());
  }
}
