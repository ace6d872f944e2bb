import type { Metrics } from '../ops/index.ts';

/** In seconds; undefined while there is no SVID in use. */
interface SvidAges {
  readonly oldest: number | undefined;
  readonly leastLeft: number | undefined;
}

/** What svid/ counts. */
export interface SvidMetrics {
  readonly live: { set(value: number): void };
  readonly wanted: { set(value: number): void };
  readonly issued: { inc(): void };
  readonly failures: { inc(): void };
  readonly expired: { inc(): void };
  readonly updates: { inc(): void };
  readonly sets: { set(value: number): void };
  readonly sessions: { set(value: number): void };
  /** The SVIDs in use, asked at each scrape. */
  readonly watchAges: (read: () => SvidAges) => void;
  readonly attestations: { inc(labels: { result: 'ok' | 'failed' }): void };
}

export function createSvidMetrics(metrics: Metrics): SvidMetrics {
  return {
    watchAges(read) {
      watchAge(metrics, 'oldest_age', 'Age of the oldest X509-SVID in use.', () => read().oldest);
      watchAge(
        metrics,
        'least_left',
        'What is left of the X509-SVID in use that expires first.',
        () => read().leastLeft,
      );
    },
    live: metrics.gauge('trustplane_svid_live_svids', 'X509-SVIDs in the cache.'),
    wanted: metrics.gauge(
      'trustplane_svid_wanted_svids',
      'Entries that attached workloads need now.',
    ),
    issued: metrics.counter('trustplane_svid_issued_total', 'X509-SVIDs received from the issuer.'),
    failures: metrics.counter(
      'trustplane_svid_failures_total',
      'Failed attempts to get an X509-SVID.',
    ),
    expired: metrics.counter(
      'trustplane_svid_expired_total',
      'X509-SVIDs dropped because they expired.',
    ),
    updates: metrics.counter('trustplane_svid_updates_total', 'Workload updates published.'),
    sets: metrics.gauge(
      'trustplane_svid_selector_sets',
      'Distinct selector sets of attached workloads.',
    ),
    sessions: metrics.gauge('trustplane_svid_sessions', 'Attached workload processes.'),
    attestations: metrics.counter('trustplane_svid_attestations_total', 'Workload attestations.', [
      'result',
    ]),
  };
}

function watchAge(
  metrics: Metrics,
  name: 'oldest_age' | 'least_left',
  help: string,
  read: () => number | undefined,
): void {
  metrics.readGauge(`trustplane_svid_${name}_seconds`, help, (set) => {
    const value = read();
    if (value !== undefined) set({}, value);
  });
}
