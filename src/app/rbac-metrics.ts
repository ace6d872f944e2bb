import type { Metrics } from '../ops/index.ts';
import type { PooledRbac } from './pooled-rbac.ts';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** What is counted where rules are compiled for Envoys. */
export interface RbacMetrics {
  exported(result: 'ok' | 'refused', tookMs: number): void;
}

/** @param pool all that there are now */
export function createRbacMetrics(metrics: Metrics, pool: () => Iterable<PooledRbac>): RbacMetrics {
  const exports = metrics.counter<'result'>(
    'trustplane_rbac_exports_total',
    'Rules of a service that were compiled for Envoy, by result.',
    ['result'],
  );
  const seconds = metrics.histogram(
    'trustplane_rbac_export_seconds',
    'Time to compile and encode the rules of a service for Envoy.',
    SECONDS,
  );
  const sizes = (): number[] =>
    [...pool()].flatMap(({ built }) => (built === undefined ? [] : built.config.bytes.length));
  metrics.readGauge(
    'trustplane_rbac_largest_bytes',
    'The largest configuration that an Envoy is given.',
    (set) => set({}, Math.max(0, ...sizes())),
  );
  metrics.readGauge(
    'trustplane_rbac_rules_count',
    'Rules that Envoys are given, summed over services, by who decides by them.',
    (set) => {
      const counts = { envoy: 0, check: 0, both: 0 };
      for (const { built } of pool())
        for (const who of ['envoy', 'check', 'both'] as const)
          counts[who] += built?.exported.shares[who] ?? 0;
      for (const who of ['envoy', 'check', 'both'] as const) set({ decided_by: who }, counts[who]);
    },
    ['decided_by'],
  );
  return {
    exported(result, tookMs) {
      exports.inc({ result });
      seconds.observe(tookMs / 1_000);
    },
  };
}
