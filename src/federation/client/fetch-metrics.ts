import type { Metrics } from '../../ops/index.ts';
import type { Clock } from '../../spiffe/index.ts';
import type { PeerStatus } from './peer-status.ts';

/** Trust domains that have a label of their own: those that were heard of least lately. */
const MAX_NAMED = 100;

/** What came of asking an endpoint. */
export type FetchOutcome = 'changed' | 'unchanged' | 'failed';

/** @returns counts one fetch */
export function createFetchMetrics(
  metrics: Metrics,
  clock: Clock,
  peers: { statuses(): readonly PeerStatus[]; failing(): readonly PeerStatus[] },
): (outcome: FetchOutcome) => void {
  const fetches = metrics.counter(
    'trustplane_federation_fetches_total',
    'Times a bundle endpoint was asked, by what came of it: changed, unchanged, failed.',
    ['outcome'],
  );
  metrics.readGauge(
    'trustplane_federation_failing_endpoints_count',
    'Bundle endpoints where the last fetch failed.',
    (set) => set({}, peers.failing().length),
  );
  metrics.readGauge(
    'trustplane_federation_bundle_age_seconds',
    'Time since the bundle endpoint of a trust domain last confirmed its bundle to this server; the 100 oldest.',
    (set) => {
      const now = clock.now();
      const ages = peers
        .statuses()
        .flatMap(({ trustDomain: { name }, lastSuccessAt }) =>
          lastSuccessAt === undefined ? [] : [{ name, age: Math.max(0, now - lastSuccessAt) }],
        );
      ages.sort((one, other) => other.age - one.age);
      for (const { name, age } of ages.slice(0, MAX_NAMED))
        set({ trust_domain: name }, age / 1_000);
    },
    ['trust_domain'],
  );
  return (outcome) => fetches.inc({ outcome });
}
