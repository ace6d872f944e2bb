import type { AgentRegistry } from '../agents/index.ts';
import {
  type AgentEntitlements,
  createRevocationService,
  nodeSelectorsOf,
  type WorkloadReports,
} from '../api/index.ts';
import type { RegistrationEntry, SpiffeId } from '../spiffe/index.ts';
import type { GrpcService } from '../wire/index.ts';
import type { Config } from './config.ts';
import { lastSvidEnd } from './last-svid-end.ts';
import { latestIssue } from './latest-issue.ts';
import type { LocalAgent } from './open-issuance.ts';
import type { Process } from './process.ts';
import type { ServerRole } from './server-role.ts';

interface Concerned {
  readonly agents: AgentRegistry;
  readonly entitlements: AgentEntitlements;
  readonly local: LocalAgent | undefined;
  /** What agents say runs on their hosts. */
  readonly workloads: WorkloadReports;
}

/** Identities are taken back, and given back; to be guarded. */
export function serveRevocations(
  { trustDomain }: Config,
  { clock, log }: Process,
  { entries, revocations, trust, controlPlane, audit }: ServerRole,
  { agents, entitlements, local, workloads }: Concerned,
): GrpcService {
  const servedHere = (entryIds: readonly string[]): boolean =>
    entryIds.some((id) => local?.entries.heldAs(id) !== undefined);
  const mayServe = (agentId: SpiffeId, entryId: string): boolean => {
    const held = local?.id.equals(agentId) === true ? local.entries : entitlements.of(agentId);
    return held?.heldAs(entryId) !== undefined;
  };
  // Also of one that is banned, or gone.
  const reachOf = (agentId: SpiffeId): readonly RegistrationEntry[] => {
    const { selectors = [] } = agents.get(agentId) ?? {};
    const nodeSelectors = nodeSelectorsOf({ id: agentId, selectors });
    const reach = entries.authorizedEntries({ agentId, nodeSelectors });
    const all = reach.all();
    reach.close();
    return all;
  };
  return createRevocationService({
    trustDomain,
    entries,
    agents,
    revocations,
    localAgent: local?.id,
    reachOf,
    countServing: (ids) => entitlements.countServing(ids) + Number(servedHere(ids)),
    running: { workloads, mayServe },
    ledger: audit,
    lastSvidEnd: () => lastSvidEnd(trust.current().own, clock.now()),
    latestIssue: () => latestIssue(controlPlane, clock.now()),
    clockAheadMs: () => controlPlane.directory?.clockAheadMs ?? 0,
    clock,
    log,
  });
}
