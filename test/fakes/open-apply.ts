import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createApplyService } from '../../src/api/apply-service.ts';
import { createRevokingEntries } from '../../src/api/revoking-entries.ts';
import { WorkloadReports } from '../../src/api/workload-reports.ts';
import { parseDocuments } from '../../src/apply/index.ts';
import { toApply } from '../../src/cli/load-documents.ts';
import { createApplyClient } from '../../src/client/apply-client.ts';
import type { DocumentsToApply } from '../../src/client/apply-view.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import type { Store } from '../../src/store/index.ts';
import { loadService, serveUnix } from '../../src/wire/index.ts';
import type { FakeClock } from './fake-clock.ts';
import { openFederation } from './open-federation.ts';
import { openRegistry } from './open-registry.ts';
import { openRevocations } from './open-revocations.ts';
import { testTrustDomain } from './test-entries.ts';

/** A server that documents are applied to, over a real socket. */
export async function openApply(
  place: { clock?: FakeClock; store?: Store; serverId?: string; otherServers?: number } = {},
) {
  const { clock, store, revocations } = await openRevocations(place);
  const { suspensions } = revocations;
  const { registry } = await openRegistry({ clock, store, suspensions });
  const { relationships, bundles } = await openFederation({ clock, store });
  const workloads = new WorkloadReports({ get: () => undefined });
  const entries = createRevokingEntries({
    entries: registry,
    revocations,
    lastSvidEnd: () => clock.now() + 3_600_000,
    latestIssue: () => clock.now(),
    log: silentLog,
  });
  const recorded: string[] = [];
  const apply = createApplyService({
    trustDomain: testTrustDomain,
    entries: registry,
    relationships,
    targets: { entries, foreignBundles: bundles },
    workloads,
    suspensions,
    audit: {
      record: async (events) => {
        for (const event of events) if (event.kind === 'admin') recorded.push(event.what);
      },
    },
    userName: () => undefined,
    leases: store.bucket('leases'),
    serverId: place.serverId ?? 'one',
    otherServers: () => place.otherServers ?? 0,
    clock,
    log: silentLog,
  });
  const admin = {
    definition: loadService('trustplane/admin/v1/admin.proto', 'trustplane.admin.v1.Admin'),
    implementation: {
      GetStatus: (_: unknown, respond: (error: null, answer: object) => void) =>
        respond(null, { trust_domain: testTrustDomain.name }),
    },
  };
  const folder = await mkdtemp(join(tmpdir(), 'trustplane-apply-'));
  const path = join(folder, 'admin.sock');
  const server = await serveUnix({
    path,
    mode: 0o600,
    services: [apply, admin],
    log: silentLog,
    metrics: createMetrics(),
  });
  const client = createApplyClient(path);
  onTestFinished(async () => {
    client.close();
    await server.close(0);
    await rm(folder, { recursive: true });
  });
  const read = (text: string) => {
    const rules = { trustDomain: testTrustDomain, now: clock.now() };
    const documents = parseDocuments([{ name: 'x.yaml', text }], rules);
    if (documents.complaints.length > 0) throw new Error(documents.complaints.join('\n'));
    return toApply(documents);
  };
  return {
    clock,
    store,
    registry,
    entries,
    relationships,
    revocations,
    workloads,
    /** What the ledger was told. */
    recorded,
    client,
    /** Documents in YAML, as the set `test`. */
    apply: async (text: string, options: Partial<DocumentsToApply> = {}) =>
      await client.apply({ set: 'test', ...read(text), ...options }),
  };
}
