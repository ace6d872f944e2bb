import type { SuspensionFact } from '../revocations/index.ts';
import type { Revocation } from '../spiffe/index.ts';
import type { RunningWorkloads } from './running-workloads.ts';

/** Whom it concerns. */
export interface RevocationImpact {
  readonly suspendedEntries: number;
  readonly reissuedEntries: number;
  readonly spiffeIds: number;
  readonly agents: number;
  readonly running: RunningWorkloads;
}

/** trustplane.admin.v1.Revocation */
export function buildRevocation(revocation: Omit<Revocation, 'id'>): object {
  const { kind, value, issuedBefore, expiresAt, reason, by = '' } = revocation;
  const instants = { issued_before_ms: String(issuedBefore), expires_at_ms: String(expiresAt) };
  return { kind, value, ...instants, reason, by };
}

/** trustplane.admin.v1.Suspension */
export function buildSuspension(fact: Omit<SuspensionFact, 'id' | 'at'>): object {
  const { kind, value, since, reason, by, lifted } = fact;
  return {
    kind,
    value,
    since_ms: String(since),
    reason,
    by,
    ...(lifted && { lifted: { at_ms: String(lifted.at), reason: lifted.reason, by: lifted.by } }),
  };
}

/** trustplane.admin.v1.Impact */
export function buildImpact(impact: RevocationImpact): object {
  return {
    suspended_entries: impact.suspendedEntries,
    reissued_entries: impact.reissuedEntries,
    spiffe_ids: impact.spiffeIds,
    agents: impact.agents,
    running_workloads: impact.running.workloads,
    running_agents: impact.running.agents,
    silent_agents: impact.running.silentAgents,
  };
}
