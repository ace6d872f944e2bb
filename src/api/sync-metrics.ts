import type { Metrics } from '../ops/index.ts';
import type { SyncUpdate } from '../sync/index.ts';

const LAG_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60];

/** How well the agents are informed. */
export class SyncMetrics {
  readonly streams: ReturnType<Metrics['gauge']>;
  readonly lag: ReturnType<Metrics['histogram']>;
  readonly refused: ReturnType<Metrics['counter']>;
  readonly #updates;

  constructor(metrics: Metrics) {
    this.streams = metrics.gauge('trustplane_sync_streams_count', 'Open sync streams of agents.');
    this.lag = metrics.histogram(
      'trustplane_sync_lag_seconds',
      'From a change to the acknowledgement of an agent that it took effect there.',
      LAG_BUCKETS,
    );
    this.refused = metrics.counter(
      'trustplane_sync_refusals_total',
      'Updates that agents discarded because they did not lead to the state they name.',
    );
    this.#updates = metrics.counter(
      'trustplane_sync_updates_total',
      'Updates sent to agents, as a snapshot or as a delta.',
      ['kind'],
    );
  }

  countUpdate({ isSnapshot }: SyncUpdate): void {
    this.#updates.inc({ kind: isSnapshot ? 'snapshot' : 'delta' });
  }
}
