import { eventually } from './eventually.ts';
import type { Domain } from './launch-domain.ts';
import type { RotationWatch } from './rotation-watch.ts';
import { type TrustedRoots, timeRoot } from './time-root.ts';

/** Where a rotation is followed. */
export interface RotationGround {
  /** What of the trust domain's authorities is trusted in another one. */
  readonly foreignRoots: TrustedRoots;
  /** Of the Envoys that present certificates of the trust domain; each has seen one. */
  readonly watches: readonly RotationWatch[];
  /** Called with the result as soon as it is known. */
  readonly onArrival?: (tookMs: number) => void;
  /** Ends it between two steps. */
  readonly signal?: AbortSignal;
}

/**
 * Replaces the X.509 authority of a trust domain in the four steps of an operator, each when the one
 * before has arrived. Resolves with the milliseconds from `prepare` to the other trust domain.
 */
export async function rotateRoot(
  { authorities, server, name }: Domain,
  { foreignRoots, watches, onArrival, signal }: RotationGround,
): Promise<number> {
  const [x509] = await authorities.rotations();
  const former = x509?.authorities.find(({ slot }) => slot === 'active');
  if (former === undefined) throw new Error(`no X.509 authority of ${name} is active`);
  const { authorityId, tookMs } = await timeRoot(authorities, foreignRoots);
  onArrival?.(tookMs);
  const before = watches.map((watch) => watch.seen()?.caRotations ?? 0);
  await server.ask('authority', 'x509', 'activate', authorityId, '--wait', '60s');
  await authorities.taint('x509', former.authorityId);
  await eventually(
    `the Envoys of ${name} present certificates of the new authority`,
    () => {
      const isNew = (watch: RotationWatch, n: number): boolean =>
        (watch.seen()?.caRotations ?? 0) > (before[n] ?? 0);
      return signal?.aborted === true || watches.every(isNew);
    },
    { timeoutMs: 30_000 },
  );
  signal?.throwIfAborted();
  await authorities.revoke('x509', former.authorityId);
  return tookMs;
}
