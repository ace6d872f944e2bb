import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { createSvidIssuance } from '../src/api/index.ts';
import { AuditLedger } from '../src/audit/index.ts';
import { createMetrics, silentLog, systemClock } from '../src/ops/index.ts';
import { type AuditLog, buildCsr, generateP256KeyPair, SpiffeId } from '../src/spiffe/index.ts';
import { startCa } from '../test/fakes/ca-world.ts';
import { testAgentId, testEntry } from '../test/fakes/test-entries.ts';
import { asRatio, type Benchmark, median } from './measurement.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

const BAR = 0.9;
/** The first one warms up. */
const ROUNDS = 9;
const BATCH = 50;
const CALLS = 60;
const IN_FLIGHT = 8;

/** Batches of X509-SVIDs that are recorded on disk before they are answered, against the same without a ledger. */
export const auditIssue: Benchmark = {
  name: 'audit_issue_ratio',
  about: `X509-SVIDs per second of CPU, ${BATCH} requests a call, each recorded in the audit ledger on disk before it is answered, against the same without a ledger`,
  run: async (report) => await withTemporaryFolder((folder) => measure(folder, report)),
};

async function measure(folder: string, report: (progress: string) => void) {
  mkdirSync(path.join(folder, 'audit'));
  const ledger = await AuditLedger.open({
    folder: path.join(folder, 'audit'),
    headFile: path.join(folder, 'audit.head'),
    keyFile: path.join(folder, 'audit.key'),
    owner: 'bench',
    maxFileBytes: 67_108_864,
    retention: { retainBytes: 4_294_967_296, retainMs: 86_400_000 },
    clock: systemClock,
  });
  const world = await startCa();
  const withLedger: number[] = [];
  const without: number[] = [];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const rates = [
        await perCpuSecond(world, { record: async () => {} }),
        await perCpuSecond(world, ledger),
      ];
      if (round > 0) without.push(rates[0] ?? 0);
      if (round > 0) withLedger.push(rates[1] ?? 0);
    }
  } finally {
    await world.close();
    await ledger.close();
  }
  const [value, baseline] = [median(withLedger), median(without)];
  report(`${value.toFixed(0)} recorded, ${baseline.toFixed(0)} not recorded, per second of CPU`);
  return asRatio(auditIssue.name, value / baseline, { kind: 'at-least', ratio: BAR });
}

/** Of all threads of this process: the system's share of the writes counts, too. */
async function perCpuSecond(
  { ca, clock }: Awaited<ReturnType<typeof startCa>>,
  audit: AuditLog,
): Promise<number> {
  const entry = testEntry('web');
  const issuance = createSvidIssuance({
    authorizedEntriesOf: () => ({ get: () => entry }),
    attestationDigestOf: () => 'a'.repeat(64),
    ca,
    audit,
    clock,
    log: silentLog,
    metrics: createMetrics(),
  });
  const agentId = SpiffeId.parse(testAgentId);
  const csr = buildCsr({ ...generateP256KeyPair(), spiffeId: entry.spiffeId });
  const requests = Array.from({ length: BATCH }, () => ({ entryId: entry.id, csr }));
  let left = CALLS;
  const work = async (): Promise<void> => {
    while (left-- > 0) {
      const [first] = await issuance.issue(agentId, requests);
      if (first === undefined || 'error' in first) throw new Error('it was not issued');
      await setImmediate();
    }
  };
  const before = process.cpuUsage();
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  const { user, system } = process.cpuUsage(before);
  return (CALLS * BATCH) / ((user + system) / 1_000_000);
}
