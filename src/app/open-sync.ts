import { randomBytes } from 'node:crypto';
import type { AgentRegistry } from '../agents/index.ts';
import {
  type AgentEntitlements,
  type Authorization,
  createSyncService,
  StoreCursor,
  type StoreReader,
  SyncHub,
  type WorkloadReports,
} from '../api/index.ts';
import { forgetTakers } from './open-policies.ts';
import type { Process } from './process.ts';
import type { ServedService } from './served-service.ts';
import type { ServerRole } from './server-role.ts';

const EPOCH_BYTES = 12;

/** What agents are told as it changes, and what they say they have. Closed with `process`. */
export function openSync(
  { clock, metrics, closing, tracing }: Process,
  server: ServerRole,
  fleet: {
    readonly agents: AgentRegistry;
    readonly entitlements: AgentEntitlements;
    readonly authorization: Authorization;
    readonly workloads: WorkloadReports;
  },
): ServedService & { readonly hub: SyncHub } {
  const { trust, revocations, policies, crls, takers, evidence, controlPlane } = server;
  const hub = new SyncHub({
    ...fleet,
    cursor: cursorOver(server, fleet),
    trustMap: trust,
    revocations,
    policies,
    crls,
    clock,
    metrics,
    epoch: randomBytes(EPOCH_BYTES).toString('base64url'),
  });
  closing.defer(() => hub.close());
  // Agents that it keeps would not be told, nor waited for.
  const stop = controlPlane.directory?.watchStanding((isStanding) => {
    if (!isStanding) hub.doubt();
  });
  closing.defer(() => stop?.());
  evidence.begin(fleet.agents);
  closing.defer(forgetTakers(takers, fleet.agents));
  const service = createSyncService({
    ...fleet,
    hub,
    confirmations: evidence,
    takers,
    clock,
    tracing,
  });
  return {
    service: fleet.authorization.guard(service),
    file: 'trustplane/sync/v1/sync.proto',
    hub,
  };
}

/** How much of the store is in what agents are told. */
export function cursorOver(
  {
    ownBundle,
    entries,
    foreignBundles,
    relationships,
    revocations,
    policies,
  }: Pick<
    ServerRole,
    'ownBundle' | 'entries' | 'foreignBundles' | 'relationships' | 'revocations' | 'policies'
  >,
  { agents }: { readonly agents: AgentRegistry },
): StoreCursor {
  const bundle: StoreReader = {
    get revision() {
      return Number(ownBundle.current().sequenceNumber ?? 0n);
    },
    catchUp: (sequence) => ownBundle.catchUp(BigInt(sequence)),
  };
  return new StoreCursor([
    agents,
    entries,
    bundle,
    foreignBundles,
    relationships,
    revocations,
    policies,
  ]);
}
