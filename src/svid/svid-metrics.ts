import type { Metrics } from '../ops/index.ts';

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
  readonly attestations: { inc(labels: { result: 'ok' | 'failed' }): void };
}

export function createSvidMetrics(metrics: Metrics): SvidMetrics {
  return {
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
