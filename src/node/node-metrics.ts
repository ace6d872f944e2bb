import type { Metrics } from '../ops/index.ts';

/** What node/ counts. */
export interface NodeMetrics {
  readonly attempts: {
    inc(labels: { kind: 'attestation' | 'renewal'; result: 'ok' | 'failed' }): void;
  };
  readonly expiresAt: { set(seconds: number): void };
  readonly server: { reset(): void; set(labels: { server: string }, value: 1): void };
  readonly pushed: { set(value: 0 | 1): void };
  readonly updates: { inc(labels: { result: 'ok' | 'failed' }): void };
  readonly updatedAt: { set(seconds: number): void };
  readonly clockAhead: { set(seconds: number): void };
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
    server: metrics.gauge('trustplane_node_server_connected', '1 for the server in use.', [
      'server',
    ]),
    pushed: metrics.gauge(
      'trustplane_node_sync_streams',
      'Streams on which a server tells this agent what changes: 1, or 0 while it asks or none answers.',
    ),
    updates: metrics.counter(
      'trustplane_node_updates_total',
      'Updates of what this agent may serve that came, and attempts to get one that failed.',
      ['result'],
    ),
    updatedAt: metrics.gauge(
      'trustplane_node_last_update_timestamp_seconds',
      'When a server last told this agent what it may serve, Unix time.',
    ),
    clockAhead: metrics.gauge(
      'trustplane_node_clock_ahead_seconds',
      "How far this host's clock is ahead of the server's, at least; below 0: behind.",
    ),
  };
}
