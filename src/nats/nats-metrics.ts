import type { Metrics } from '../ops/index.ts';

type Of = { readonly purpose: string };

/** What nats/ counts, by what the connection is for. */
export interface NatsMetrics {
  readonly connected: { set(labels: Of, value: 0 | 1): void };
  readonly attempts: { inc(labels: Of, value?: number): void };
  readonly errors: { inc(labels: Of, value?: number): void };
}

const made = new WeakMap<Metrics, NatsMetrics>();

/** The metrics of all connections of one process, made once. */
export function natsMetricsOf(metrics: Metrics): NatsMetrics {
  const known = made.get(metrics) ?? register(metrics);
  made.set(metrics, known);
  return known;
}

function register(metrics: Metrics): NatsMetrics {
  return {
    connected: metrics.gauge(
      'trustplane_nats_connected',
      'Whether there is a connection to a nats-server: 1 or 0.',
      ['purpose'],
    ),
    attempts: metrics.counter(
      'trustplane_nats_connect_attempts_total',
      'Attempts to connect to a nats-server.',
      ['purpose'],
    ),
    errors: metrics.counter(
      'trustplane_nats_errors_total',
      'Errors that a nats-server reported, such as a subject that is not allowed.',
      ['purpose'],
    ),
  };
}
