import type { Metrics } from '../ops/index.ts';
import type { AuthorityKind } from './authority.ts';

type Kind = { readonly kind: AuthorityKind };

export interface CaMetrics {
  readonly x509Svids: { inc(): void };
  readonly jwtSvids: { inc(): void };
  readonly steps: { inc(labels: Kind & { readonly step: string }): void };
  readonly failures: { inc(labels: Kind, value?: number): void };
  readonly alarms: { inc(labels: Kind, value?: number): void };
  readonly upstreamFailures: { inc(): void };
  readonly activeExpiry: { set(labels: Kind, value: number): void };
}

const made = new WeakMap<Metrics, CaMetrics>();

/** The metrics of all authorities of one process, made once. */
export function caMetricsOf(metrics: Metrics): CaMetrics {
  const known = made.get(metrics) ?? createCaMetrics(metrics);
  made.set(metrics, known);
  return known;
}

function createCaMetrics(metrics: Metrics): CaMetrics {
  const created = registerCaMetrics(metrics);
  for (const kind of ['x509', 'jwt'] as const) {
    created.failures.inc({ kind }, 0);
    created.alarms.inc({ kind }, 0);
  }
  return created;
}

function registerCaMetrics(metrics: Metrics): CaMetrics {
  return {
    x509Svids: metrics.counter('trustplane_ca_x509_svids_total', 'X509-SVIDs signed.'),
    jwtSvids: metrics.counter('trustplane_ca_jwt_svids_total', 'JWT-SVIDs signed.'),
    steps: metrics.counter(
      'trustplane_ca_rotation_steps_total',
      'Steps of the authority rotation that were taken, by kind of authority.',
      ['kind', 'step'],
    ),
    failures: metrics.counter(
      'trustplane_ca_rotation_failures_total',
      'Attempts of the authority rotation that failed.',
      ['kind'],
    ),
    alarms: metrics.counter(
      'trustplane_ca_rotation_alarms_total',
      'Authorities that were activated although not everybody knew them.',
      ['kind'],
    ),
    upstreamFailures: metrics.counter(
      'trustplane_ca_upstream_failures_total',
      'Times an upstream authority did not answer, or not with what can be used.',
    ),
    activeExpiry: metrics.gauge(
      'trustplane_ca_active_authority_expiry_seconds',
      'When the active authority expires, in seconds since the epoch.',
      ['kind'],
    ),
  };
}
