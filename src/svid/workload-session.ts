import type { Log } from '../ops/index.ts';
import {
  messageOf,
  type SelectorSet,
  TrustplaneError,
  type WorkloadAttachment,
  type WorkloadListener,
  type WorkloadUpdate,
} from '../spiffe/index.ts';
import type { SvidMetrics } from './svid-metrics.ts';
import type { Membership } from './workload-cache.ts';

export interface WorkloadSessionOptions {
  /** Attests the process as it is now. Settles within a bounded time; `again` asks for another attestation later. */
  readonly attest: (again: () => void) => Promise<SelectorSet>;
  readonly isAlive: () => boolean;
  readonly enter: (selectors: SelectorSet, onUpdate: () => void) => Membership;
  /** The last listener has left, or the session has ended. */
  readonly onEmpty: () => void;
  readonly log: Log;
  readonly metrics: SvidMetrics;
}

interface Seat {
  readonly listener: WorkloadListener;
  version: string | undefined;
}

/**
 * One process, with all its streams. It is attested when a stream attaches and again before each
 * push, by an attestation that began after the change; what changes meanwhile is pushed after the
 * next one, the latest only.
 */
export class WorkloadSession {
  readonly #options: WorkloadSessionOptions;
  readonly #seats = new Set<Seat>();
  /** Attached since the attestation under way began. */
  readonly #arrivals = new Set<Seat>();
  #membership: Membership | undefined;
  #isDue = false;
  #isRunning = false;
  #isOver = false;

  constructor(options: WorkloadSessionOptions) {
    this.#options = options;
  }

  attach(listener: WorkloadListener): WorkloadAttachment {
    const seat: Seat = { listener, version: undefined };
    this.#arrivals.add(seat);
    this.#poke();
    return { close: () => this.#detach(seat) };
  }

  /** Ends the session; listeners are not told. */
  close(): void {
    if (!this.#isOver) this.#finish();
  }

  #detach(seat: Seat): void {
    const wasSeated = this.#seats.delete(seat) || this.#arrivals.delete(seat);
    if (wasSeated && this.#seats.size + this.#arrivals.size === 0) this.#finish();
  }

  #poke(): void {
    if (this.#isOver) return;
    this.#isDue = true;
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    try {
      while (this.#isDue && !this.#isOver) await this.#round();
    } catch (error) {
      this.#end(error instanceof Error ? error : new Error(messageOf(error)));
    }
    this.#isRunning = false;
  }

  async #round(): Promise<void> {
    this.#isDue = false;
    const before = this.#membership;
    const offered = before?.update;
    for (const seat of this.#arrivals) this.#seats.add(seat);
    this.#arrivals.clear();
    const selectors = await this.#attest();
    if (this.#isOver) return;
    const after = this.#move(selectors);
    const update = after === before ? offered : after.update;
    if (update !== undefined) this.#deliver(update);
  }

  async #attest(): Promise<SelectorSet> {
    const { attest, isAlive, metrics } = this.#options;
    try {
      const selectors = await attest(() => this.#poke());
      if (!isAlive()) throw new TrustplaneError('ERR_SVID_WORKLOAD_GONE', 'the process is gone');
      metrics.attestations.inc({ result: 'ok' });
      return selectors;
    } catch (error) {
      metrics.attestations.inc({ result: 'failed' });
      throw error;
    }
  }

  #move(selectors: SelectorSet): Membership {
    const before = this.#membership;
    if (before?.selectors.key === selectors.key) return before;
    this.#membership = this.#options.enter(selectors, () => this.#poke());
    before?.leave();
    return this.#membership;
  }

  #deliver(update: WorkloadUpdate): void {
    for (const seat of this.#seats) {
      if (seat.version === update.version) continue;
      seat.version = update.version;
      this.#call(() => seat.listener.onUpdate(update));
    }
  }

  #end(reason: Error): void {
    if (this.#isOver) return;
    const seats = [...this.#seats, ...this.#arrivals];
    this.#finish();
    for (const { listener } of seats) this.#call(() => listener.onGone(reason));
  }

  #finish(): void {
    this.#isOver = true;
    this.#seats.clear();
    this.#arrivals.clear();
    this.#membership?.leave();
    this.#options.onEmpty();
  }

  /** One stream's failure is not the others'. */
  #call(deliver: () => void): void {
    try {
      deliver();
    } catch (error) {
      this.#options.log.error({ err: error }, 'a workload stream failed to take an update');
    }
  }
}
