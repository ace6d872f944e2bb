import type { Metrics } from '../ops/index.ts';

/** What node/ counts. */
export interface NodeMetrics {
  readonly attempts: {
    inc(labels: { kind: 'attestation' | 'renewal'; result: 'ok' | 'failed' }): void;
  };
  readonly expiresAt: { set(seconds: number): void };
  readonly updates: { inc(labels: { result: 'ok' | 'failed' }): void };
  readonly updatedAt: { set(seconds: number): void };
}

export function createNodeMetrics(metrics: Metrics): NodeMetrics {
  return {
    attempts: metrics.counter(
      'trustplane_node_attempts_total',
      "Attempts to get the agent's own SVID, by attestation or renewal.",
      ['kind', 'result'],
    ),
    expiresAt: metrics.gauge(
      'trustplane_node_svid_expiry_timestamp_seconds',
      "When the agent's own SVID expires, Unix time.",
    ),
    updates: metrics.counter(
      'trustplane_node_updates_total',
      'Attempts to learn from a server what this agent may serve.',
      ['result'],
    ),
    updatedAt: metrics.gauge(
      'trustplane_node_last_update_timestamp_seconds',
      'When a server last told this agent what it may serve, Unix time.',
    ),
  };
}
