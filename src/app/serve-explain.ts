import type { AgentRegistry } from '../agents/index.ts';
import type { Authorization } from '../api/index.ts';
import { createExplainService, ExplainKnowledge, type SyncHub } from '../api/index.ts';
import type { SpiffeId, TrustDomain } from '../spiffe/index.ts';
import type { Process } from './process.ts';
import type { ServedService } from './served-service.ts';
import type { ServerRole } from './server-role.ts';

/** What a server knows that explains, and whom it tells. */
export interface ServedExplain {
  readonly knowledge: ExplainKnowledge;
  readonly served: ServedService;
}

/** For administrators, and for agents that ask of themselves. */
export function serveExplain(
  trustDomain: TrustDomain,
  { clock }: Process,
  { entries, revocations, audit }: ServerRole,
  fleet: {
    readonly agents: AgentRegistry;
    readonly authorization: Authorization;
    readonly hub: SyncHub;
    readonly localAgent: SpiffeId | undefined;
  },
): ServedExplain {
  const knowledge = new ExplainKnowledge({
    ...fleet,
    entries,
    suspensions: revocations.suspensions,
  });
  const service = createExplainService({
    ...fleet,
    trustDomain,
    knowledge,
    clock,
    revocations,
    ledger: audit,
  });
  return {
    knowledge,
    served: {
      service: fleet.authorization.guard(service),
      file: 'trustplane/explain/v1/explain.proto',
    },
  };
}
