import type { Log } from '../ops/index.ts';
import type { Clock } from '../spiffe/index.ts';
import type { Refusal, SocketMetrics } from './wire-metrics.ts';

/** One warning for each reason in this time; the metric counts them all. */
const WARN_EVERY_MS = 10_000;

export interface RefusalNotesOptions {
  readonly metrics: SocketMetrics;
  readonly log: Log;
  readonly clock: Clock;
}

/** Counts refused connections and warns of them, without letting a peer fill the log. */
export class RefusalNotes {
  readonly #options: RefusalNotesOptions;
  readonly #warnedAt = new Map<Refusal, number>();

  constructor(options: RefusalNotesOptions) {
    this.#options = options;
  }

  /** @param fields what else the log says of it */
  note(reason: Refusal, why: string, fields: object = {}): void {
    const { metrics, log, clock } = this.#options;
    metrics.refused(reason);
    const now = clock.now();
    if (Math.abs(now - (this.#warnedAt.get(reason) ?? -WARN_EVERY_MS)) < WARN_EVERY_MS) return;
    this.#warnedAt.set(reason, now);
    log.warn({ reason, why, ...fields }, 'a connection was refused');
  }
}
