import type { Metrics } from '../ops/index.ts';

/** What the cache of JWT-SVIDs counts. */
export interface JwtMetrics {
  readonly live: { set(value: number): void };
  readonly issued: { inc(): void };
  readonly hits: { inc(): void };
  readonly failures: { inc(): void };
}

export function createJwtMetrics(metrics: Metrics): JwtMetrics {
  return {
    live: metrics.gauge('trustplane_svid_jwt_kept', 'JWT-SVIDs in the cache.'),
    issued: metrics.counter(
      'trustplane_svid_jwt_issued_total',
      'JWT-SVIDs received from the issuer.',
    ),
    hits: metrics.counter('trustplane_svid_jwt_hits_total', 'JWT-SVIDs given out from the cache.'),
    failures: metrics.counter(
      'trustplane_svid_jwt_failures_total',
      'Failed attempts to get a JWT-SVID.',
    ),
  };
}
