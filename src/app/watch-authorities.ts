import type { AuthorityControl } from '../ca/index.ts';
import type { Metrics } from '../ops/index.ts';
import { type Clock, messageOf } from '../spiffe/index.ts';
import type { Process } from './process.ts';

/** A process whose authorities cannot sign is not ready; a rotation that fails is shown. */
export function watchAuthorities(
  [authorities, rotation]: readonly [string, string],
  ca: AuthorityControl,
  readiness: Process['readiness'],
): void {
  readiness.require(authorities, () => {
    const { canSign, isJoining = false } = ca.health();
    return canSign || isJoining ? undefined : 'no authority can sign now';
  });
  readiness.observe(rotation, () => {
    const { failure, alarm, isJoining = false } = ca.health();
    if (failure !== undefined) return messageOf(failure.error);
    if (isJoining) return 'its authority signs as soon as everybody can know it; other servers do';
    if (alarm === undefined) return undefined;
    return `the authority ${alarm.authorityId} signs although ${alarm.behind.length} may not know it`;
  });
}

/** How long there is something to sign with if no new authority is made; a prepared one counts. */
export function watchRunway(
  kinds: Readonly<Record<'x509' | 'jwt', Pick<AuthorityControl, 'status'>>>,
  metrics: Metrics,
  clock: Clock,
): void {
  metrics.readGauge(
    'trustplane_ca_runway_seconds',
    'Seconds until nothing can sign, if no new authority is made.',
    (set) => {
      const now = clock.now();
      for (const kind of ['x509', 'jwt'] as const) {
        const { authorities } = kinds[kind].status();
        const ends = authorities
          .filter(({ state, isTainted }) => state !== 'old' && !isTainted)
          .map(({ notAfter }) => notAfter);
        set({ kind }, (Math.max(now, ...ends) - now) / 1_000);
      }
    },
    ['kind'],
  );
}
