import type { Node } from '../node/index.ts';
import type { Clock, Timer } from '../spiffe/index.ts';
import type { LiveWorkloadSource } from '../svid/index.ts';

/** What comes and goes meanwhile is told together. */
const DELAY_MS = 1_000;

/** Tells the servers which workloads this host serves, a while after each change; returns the way to stop. */
export function reportWorkloads(
  workloads: Pick<LiveWorkloadSource<never>, 'groups' | 'watchGroups'>,
  node: Pick<Node, 'sayWorkloads'>,
  clock: Clock,
): () => void {
  let timer: Timer | undefined;
  const tell = (): void => {
    timer = undefined;
    node.sayWorkloads({ groups: workloads.groups(), isPartial: false });
  };
  tell();
  const unwatch = workloads.watchGroups(() => {
    timer ??= clock.setTimer(DELAY_MS, tell);
  });
  return () => {
    unwatch();
    timer?.cancel();
  };
}
