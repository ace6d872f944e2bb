import { expect, it } from 'vitest';
import type { ImpactView } from '../client/revocation-client.ts';
import { formatImpact, formatRevoked } from './revocation-text.ts';

const impact: ImpactView = {
  suspendedEntries: 1,
  reissuedEntries: 2,
  spiffeIds: 1,
  agents: 3,
  runningWorkloads: 14,
  runningAgents: 2,
  silentAgents: 1,
};

it('says whom it concerns, down to the workloads that run', () => {
  expect(formatImpact(impact)).toBe(
    'nothing is issued for 1 entry, new SVIDs are issued for 2 entries (1 SPIFFE ID, on 3 agents): 14 running workloads on 2 agents; 1 agent did not say',
  );
  const nobody = { ...impact, runningWorkloads: 0, runningAgents: 0, silentAgents: 0 };
  expect(formatImpact(nobody)).toMatch(/: no running workload$/u);
});

it('names the holder of a serial number', () => {
  const none = { ...impact, suspendedEntries: 0, reissuedEntries: 0 };
  const holder = {
    spiffeId: 'spiffe://a.test/web',
    entryId: 'web',
    agentId: 'spiffe://a.test/spire/agent/x509pop/host',
    purpose: 'workload',
    issuedAt: '2026-05-01T12:00:00.000Z',
    expiresAt: '2026-05-01T13:00:00.000Z',
  };
  const told = { revocations: [], suspension: null, impact: none, holder };
  expect(formatRevoked(told, { isReissued: true, isDryRun: true }).split('\n')).toEqual([
    'nothing is done; it would be so: no entry is concerned',
    'it is of spiffe://a.test/web (workload), of the entry web, got by spiffe://a.test/spire/agent/x509pop/host, from 2026-05-01T12:00:00.000Z until 2026-05-01T13:00:00.000Z',
  ]);
});
