import type { ReportedAgent } from '../apply/index.ts';
import {
  formatSelector,
  type RegistrationEntry,
  type SpiffeId,
  selectorDigest,
} from '../spiffe/index.ts';
import type { WorkloadReports } from './workload-reports.ts';

export interface RunningSources {
  readonly workloads: Pick<WorkloadReports, 'list' | 'gaps'>;
  /** Whether an agent may serve an entry now. */
  readonly mayServe: (agentId: SpiffeId, entryId: string) => boolean;
}

/** Workloads that run, as agents say. */
export interface RunningWorkloads {
  readonly workloads: number;
  /** Where they are. */
  readonly agents: number;
  /** Agents that have not said, or only in part. */
  readonly silentAgents: number;
}

/** Those that have the identity of one of these entries. */
export function countRunning(
  entries: readonly RegistrationEntry[],
  { workloads, mayServe }: RunningSources,
): RunningWorkloads {
  const wanted = entries.map(({ id, selectors }) => ({
    id,
    digests: selectors.map((selector) => selectorDigest(formatSelector(selector))),
  }));
  const counts = workloads.list().map(({ agentId, groups }) => {
    const held = wanted.filter(({ id }) => mayServe(agentId, id));
    return countIn(groups, held);
  });
  const { unknown, partial } = workloads.gaps();
  return {
    workloads: counts.reduce((sum, count) => sum + count, 0),
    agents: counts.filter((count) => count > 0).length,
    silentAgents: unknown + partial,
  };
}

function countIn(
  groups: ReportedAgent['groups'],
  held: readonly { readonly digests: readonly string[] }[],
): number {
  const has = (selectors: ReadonlySet<string>): boolean =>
    held.some(({ digests }) => digests.every((digest) => selectors.has(digest)));
  return groups.reduce((sum, group) => sum + (has(group.selectors) ? group.workloads : 0), 0);
}
