import type { TakingAgent } from '../policies/index.ts';
import type { PolicyReport } from '../servers/index.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Policies } from './open-policies.ts';
import type { Process } from './process.ts';

/** Between two records that are written because an agent has other policies in force. */
const SAY_EVERY_MS = 1_000;

/** Tells the other servers who has which policies; closed with `process`. */
export function shareTakers(
  { directory }: Pick<ControlPlane, 'directory'>,
  { policies, takers }: Policies,
  { clock, closing }: Pick<Process, 'clock' | 'closing'>,
): void {
  if (directory === undefined) return;
  let timer: { cancel(): void } | undefined;
  let saidAt = Number.NEGATIVE_INFINITY;
  const onChange = (): void => {
    timer ??= clock.setTimer(Math.max(0, saidAt + SAY_EVERY_MS - clock.now()), () => {
      timer = undefined;
      saidAt = clock.now();
      directory.sayChanged();
    });
  };
  directory.setPolicies(() => reportTakers(takers.list(), policies.version?.hash));
  const stops = [policies.watch(onChange), takers.watch(onChange)];
  closing.defer(() => {
    for (const stop of stops) stop();
    timer?.cancel();
  });
}

/** @param version that is to be in force, by its hash */
export function reportTakers(
  agents: readonly TakingAgent[],
  version: string | undefined,
): PolicyReport {
  const has = (agent: TakingAgent): boolean =>
    agent.takers.length > 0 && agent.takers.every(({ hash }) => hash === version);
  const connected = agents.filter(({ isConnected }) => isConnected);
  const behind = connected.filter((agent) => !has(agent));
  const away = agents.filter(({ isConnected }) => !isConnected);
  const inForce = connected.flatMap(({ takers }) => takers).filter(({ hash }) => hash === version);
  return {
    version,
    connected: connected.length,
    behind: behind.length,
    away: away.length,
    inForce: inForce.length,
    agents: [...behind, ...away, ...connected.filter(has)].map(
      ({ agentId, isConnected, since, takers }) => ({
        agentId,
        isConnected,
        since,
        // Those that matter first, as only some are told.
        takers: takers.toSorted((a, b) => Number(a.hash === version) - Number(b.hash === version)),
      }),
    ),
  };
}
