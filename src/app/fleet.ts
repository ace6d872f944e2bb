import { randomBytes } from 'node:crypto';
import { AgentRegistry, JoinTokens } from '../agents/index.ts';
import {
  AgentEntitlements,
  Authorization,
  createAgentService,
  createAgentSvidIssuer,
  createAuthorizedEntriesMethods,
  createBundleService,
  createEntryService,
  createSvidIssuance,
  createSvidService,
} from '../api/index.ts';
import type { Store } from '../store/index.ts';
import { type GrpcTlsServer, serveTls } from '../wire/index.ts';
import type { Config } from './config.ts';
import { openNodeAttestors } from './node-attestors.ts';
import type { Process } from './process.ts';
import { openServerIdentity } from './server-identity.ts';
import type { MoreServices, ServerRole } from './server-role.ts';

const NAMES = ['spire.api.server.agent.v1.Agent', 'spire.api.server.svid.v1.SVID'];
const FILES = ['spire/api/server/agent/v1/agent.proto', 'spire/api/server/svid/v1/svid.proto'];
const DRAIN_MS = 2_000;

/** What a server has for agents on other hosts. */
export interface Fleet {
  readonly agents: AgentRegistry;
  readonly tokens: JoinTokens;
  /** For the admin socket. */
  readonly forAdministrators: MoreServices;
  /** Begins to serve agents over TLS; closed with the process. @throws TrustplaneError ERR_LISTEN */
  serve(): Promise<GrpcTlsServer>;
}

/** Opens the registries of agents and tokens; closed with `process`. */
export async function openFleet(
  config: Config,
  process: Process,
  store: Store,
  server: ServerRole,
): Promise<Fleet> {
  const { log, metrics, clock, closing } = process;
  const { entries, ca, trust } = server;
  const common = { trustDomain: config.trustDomain, ca, clock, log, metrics };
  const agents = await AgentRegistry.load({ ...common, bucket: store.bucket('agents') });
  closing.defer(() => agents.close());
  const tokens = JoinTokens.create({ ...common, bucket: store.bucket('tokens'), randomBytes });
  closing.defer(() => tokens.close());
  const entitlements = new AgentEntitlements(agents, entries);
  closing.defer(() => entitlements.close());
  const authorization = new Authorization({ agents, entries, clock, metrics });
  const agentService = createAgentService({
    ...common,
    agents,
    tokens,
    entries,
    authorization,
    attestors: await openNodeAttestors(config, process, tokens),
    issueAgentSvid: createAgentSvidIssuer(ca, 0),
  });
  const svidService = createSvidService({
    ...common,
    issuance: createSvidIssuance({
      ...common,
      authorizedEntriesOf: (id) => entitlements.of(id),
    }),
    authorization,
  });
  const forAgents = createAuthorizedEntriesMethods({ authorization, entitlements });
  const guarded = [agentService, svidService].map((service) => authorization.guard(service));
  const shared = [
    createEntryService({ entries, log, forAgents }),
    createBundleService({ trustMap: trust }),
  ].map((service) => authorization.guard(service));
  return {
    agents,
    tokens,
    forAdministrators: { services: guarded, names: NAMES, files: FILES },
    async serve() {
      const identity = await openServerIdentity(common);
      closing.defer(() => identity.close());
      const listener = await serveTls({
        ...config.bindAddress,
        identity: () => identity.current(),
        trust: () => trust.current().own,
        services: [...guarded, ...shared],
        log,
        metrics,
        clock,
      });
      closing.defer(() => listener.close(DRAIN_MS));
      return listener;
    },
  };
}
