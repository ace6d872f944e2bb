import { randomBytes } from 'node:crypto';
import type { AgentRegistry } from '../agents/index.ts';
import {
  type AgentEntitlements,
  type Authorization,
  createSyncService,
  SyncHub,
} from '../api/index.ts';
import type { Process } from './process.ts';
import type { ServedService } from './served-service.ts';
import type { ServerRole } from './server-role.ts';

const EPOCH_BYTES = 12;

/** What agents are told as it changes, and what they say they have. Closed with `process`. */
export function openSync(
  { clock, metrics, closing }: Process,
  { trust, revocations, evidence }: ServerRole,
  fleet: {
    readonly agents: AgentRegistry;
    readonly entitlements: AgentEntitlements;
    readonly authorization: Authorization;
  },
): ServedService {
  const hub = new SyncHub({
    ...fleet,
    trustMap: trust,
    revocations,
    clock,
    metrics,
    epoch: randomBytes(EPOCH_BYTES).toString('base64url'),
  });
  closing.defer(() => hub.close());
  evidence.begin(fleet.agents);
  const service = createSyncService({ ...fleet, hub, confirmations: evidence, clock });
  return { service: fleet.authorization.guard(service), file: 'trustplane/sync/v1/sync.proto' };
}
