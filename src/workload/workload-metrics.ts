import type { Metrics } from '../ops/index.ts';

/** What workload/ counts, by method. */
export interface WorkloadMetrics {
  readonly streams: {
    inc(labels: { method: string }): void;
    dec(labels: { method: string }): void;
  };
  readonly responses: { inc(labels: { method: string }): void };
  readonly errors: { inc(labels: { method: string; code: string }): void };
}

export function createWorkloadMetrics(metrics: Metrics): WorkloadMetrics {
  return {
    streams: metrics.gauge('trustplane_workload_streams', 'Open Workload API streams.', ['method']),
    responses: metrics.counter(
      'trustplane_workload_responses_total',
      'Workload API messages handed to streams.',
      ['method'],
    ),
    errors: metrics.counter('trustplane_workload_errors_total', 'Workload API calls refused.', [
      'method',
      'code',
    ]),
  };
}
