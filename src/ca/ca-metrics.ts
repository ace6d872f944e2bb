import type { Metrics } from '../ops/index.ts';

export interface CaMetrics {
  readonly issued: { inc(): void };
  readonly steps: { inc(labels: { step: string }): void };
  readonly failures: { inc(): void };
  readonly activeExpiry: { set(value: number): void };
}

export function createCaMetrics(metrics: Metrics): CaMetrics {
  return {
    issued: metrics.counter('trustplane_ca_x509_svids_total', 'X509-SVIDs signed.'),
    steps: metrics.counter(
      'trustplane_ca_rotation_steps_total',
      'Steps of the X.509 authority rotation that were taken.',
      ['step'],
    ),
    failures: metrics.counter(
      'trustplane_ca_rotation_failures_total',
      'Attempts of the X.509 authority rotation that failed.',
    ),
    activeExpiry: metrics.gauge(
      'trustplane_ca_active_authority_expiry_seconds',
      'When the active X.509 authority expires, in seconds since the epoch.',
    ),
  };
}
