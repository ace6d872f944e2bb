import type { Log } from '../ops/index.ts';
import type { NodeMetrics } from './node-metrics.ts';
import type { TimeReading } from './server-link.ts';

/** SVIDs are valid a while before they are issued (30 s by default), so that less does no harm. */
const TOLERABLE_MS = 15_000;

export interface ClockSkewOptions {
  readonly metrics: Pick<NodeMetrics, 'clockAhead'>;
  readonly log: Log;
}

/**
 * How far this host's clock and that of its server are apart, for certain: each answer of the server bounds
 * it from both sides, and the time that the call took is given to the clocks.
 */
export class ClockSkew {
  readonly #options: ClockSkewOptions;
  #aheadMs = 0;
  #server = '';

  constructor(options: ClockSkewOptions) {
    this.#options = options;
  }

  /** What is wrong with the clocks, if anything. */
  get fault(): string | undefined {
    const aheadMs = this.#aheadMs;
    if (Math.abs(aheadMs) <= TOLERABLE_MS) return undefined;
    const side = aheadMs > 0 ? 'ahead of' : 'behind';
    const seconds = Math.round(Math.abs(aheadMs) / 1_000);
    return `the clock of this host is ${seconds} s ${side} that of the server ${this.#server}; one of them is to be set`;
  }

  take(reading: TimeReading): void {
    const before = this.fault;
    this.#aheadMs = leastAhead(reading);
    this.#server = reading.server;
    this.#options.metrics.clockAhead.set(this.#aheadMs / 1_000);
    const { fault } = this;
    if (fault !== undefined && before === undefined) {
      this.#options.log.warn({ server: reading.server, aheadMs: this.#aheadMs }, fault);
    }
  }
}

/** At least so much; below 0: behind. */
function leastAhead({ askedAt, serverTime, answeredAt }: TimeReading): number {
  if (serverTime > answeredAt) return answeredAt - serverTime;
  return Math.max(0, askedAt - serverTime);
}
