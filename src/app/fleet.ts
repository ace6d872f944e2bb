import { randomBytes } from 'node:crypto';
import { AgentRegistry, JoinTokens } from '../agents/index.ts';
import {
  AgentEntitlements,
  Authorization,
  audited,
  createRevokingEntries,
  createTracedEntries,
  type ExplainKnowledge,
  WorkloadReports,
} from '../api/index.ts';
import type { Store } from '../store/index.ts';
import type { GrpcService } from '../wire/index.ts';
import type { Config } from './config.ts';
import { lastSvidEnd } from './last-svid-end.ts';
import { latestIssue } from './latest-issue.ts';
import { openUserNames } from './open-audit.ts';
import { type Issuances, type LocalAgent, openIssuance } from './open-issuance.ts';
import { servePolicies } from './open-policies.ts';
import { openSync } from './open-sync.ts';
import type { Process } from './process.ts';
import { serveApply } from './serve-apply.ts';
import { serveExplain } from './serve-explain.ts';
import { serveRevocations } from './serve-revocations.ts';
import { serveSpireApi } from './serve-spire-api.ts';
import type { ServedService } from './served-service.ts';
import type { ServerRole } from './server-role.ts';
import { openSvidLives, withDefaultJwtLife, withDefaultLife } from './svid-lives.ts';

/** What a server has for agents, and what it offers them and others. */
export interface Fleet extends Issuances {
  readonly agents: AgentRegistry;
  readonly tokens: JoinTokens;
  /** What explains. */
  readonly knowledge: ExplainKnowledge;
  /** Which workloads run on the hosts of agents. */
  readonly workloads: WorkloadReports;
  /** The server API, each call judged by who makes it; for the port and the admin socket. */
  readonly services: readonly ServedService[];
}

/** Opens the registries of agents and tokens; closed with `process`. */
export async function openFleet(
  config: Config,
  process: Process,
  store: Store,
  server: ServerRole,
  local?: LocalAgent,
): Promise<Fleet> {
  const { log, metrics, clock, closing } = process;
  const { trust, revocations, audit } = server;
  const revoking = createRevokingEntries({
    ...server,
    lastSvidEnd: () => lastSvidEnd(trust.current().own, clock.now()),
    latestIssue: () => latestIssue(server.controlPlane, clock.now()),
    log,
  });
  const entries = createTracedEntries(revoking, process.tracing);
  const lives = openSvidLives(config, process);
  const userName = openUserNames(process);
  const common = {
    trustDomain: config.trustDomain,
    ca: withDefaultLife(server.ca, lives.x509Svid),
    jwtCa: withDefaultJwtLife(server.jwtCa, lives.jwtSvid),
    audit,
    userName,
    clock,
    log,
    metrics,
  };
  const agents = await AgentRegistry.load({
    ...common,
    bucket: store.bucket('agents'),
    isSoleWriter: server.controlPlane.directory === undefined,
    graceMs: config.expiredAgentGraceMs,
  });
  closing.defer(() => agents.close());
  const tokens = JoinTokens.create({ ...common, bucket: store.bucket('tokens'), randomBytes });
  closing.defer(() => tokens.close());
  const entitlements = new AgentEntitlements(agents, server.entries);
  closing.defer(() => entitlements.close());
  const workloads = new WorkloadReports(agents);
  const authorization = new Authorization({ agents, entries, revocations, clock, metrics });
  const issuances = openIssuance(store, server, common, { agents, entitlements, local });
  const guard = (service: GrpcService) =>
    authorization.guard(audited(service, { audit, userName }));
  const spireApi = await serveSpireApi(config, process, server, {
    ...common,
    ...issuances,
    agents,
    tokens,
    entries,
    entitlements,
    authorization,
    lives,
    guard,
  });
  const sync = openSync(process, server, { agents, entitlements, authorization, workloads });
  const { hub } = sync;
  const explain = serveExplain(config.trustDomain, process, server, {
    agents,
    authorization,
    hub,
    localAgent: local?.id,
  });
  return {
    agents,
    tokens,
    ...issuances,
    knowledge: explain.knowledge,
    workloads,
    services: [
      ...spireApi,
      {
        service: guard(servePolicies(process, server, server.controlPlane)),
        file: 'trustplane/policy/v1/policy.proto',
      },
      {
        service: guard(
          serveRevocations(config, process, server, { agents, entitlements, local, workloads }),
        ),
        file: 'trustplane/admin/v1/revocations.proto',
      },
      {
        service: guard(serveApply(config, process, server, { entries, workloads, userName })),
        file: 'trustplane/admin/v1/apply.proto',
      },
      sync,
      explain.served,
    ],
  };
}
