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
  createTrustDomainService,
  type SvidIssuance,
} from '../api/index.ts';
import type { AgentEntries } from '../entries/index.ts';
import type { SpiffeId } from '../spiffe/index.ts';
import type { Store } from '../store/index.ts';
import type { Config } from './config.ts';
import { openNodeAttestors } from './node-attestors.ts';
import type { Process } from './process.ts';
import type { ServedService } from './served-service.ts';
import type { ServerRole } from './server-role.ts';

/** The agent of the same process, which needs no attestation. */
export interface LocalAgent {
  readonly id: SpiffeId;
  readonly entries: AgentEntries;
}

/** What a server has for agents, and what it offers them and others. */
export interface Fleet {
  readonly agents: AgentRegistry;
  readonly tokens: JoinTokens;
  readonly issuance: SvidIssuance;
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
  const { entries, ca, trust, foreignBundles, relationships } = server;
  const common = { trustDomain: config.trustDomain, ca, clock, log, metrics };
  const agents = await AgentRegistry.load({ ...common, bucket: store.bucket('agents') });
  closing.defer(() => agents.close());
  const tokens = JoinTokens.create({ ...common, bucket: store.bucket('tokens'), randomBytes });
  closing.defer(() => tokens.close());
  const entitlements = new AgentEntitlements(agents, entries);
  closing.defer(() => entitlements.close());
  const authorization = new Authorization({ agents, entries, clock, metrics });
  const issuance = createSvidIssuance({
    ...common,
    authorizedEntriesOf: (id) =>
      local?.id.equals(id) === true ? local.entries : entitlements.of(id),
  });
  const agentService = createAgentService({
    ...common,
    agents,
    tokens,
    entries,
    authorization,
    attestors: await openNodeAttestors(config, process, tokens),
    issueAgentSvid: createAgentSvidIssuer(ca, 0),
  });
  const forAgents = createAuthorizedEntriesMethods({ authorization, entitlements });
  const guarded = (name: string, service: ServedService['service']): ServedService => ({
    service: authorization.guard(service),
    file: `spire/api/server/${name}/v1/${name}.proto`,
  });
  return {
    agents,
    tokens,
    issuance,
    services: [
      guarded('agent', agentService),
      guarded('svid', createSvidService({ ...common, issuance, authorization })),
      guarded('entry', createEntryService({ entries, log, forAgents })),
      guarded(
        'bundle',
        createBundleService({
          trustMap: trust,
          foreignBundles,
          ownBundle: server.ownBundle.publisherFor('administrator'),
          entries: {
            list: (filter, page) => entries.list(filter, page),
            update: (id, edit) => entries.update(id, edit),
            delete: (id) => entries.delete(id),
          },
          log,
        }),
      ),
      guarded(
        'trustdomain',
        createTrustDomainService({ ...common, relationships, foreignBundles }),
      ),
    ],
  };
}
