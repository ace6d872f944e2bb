import type { AgentRegistry, JoinTokens } from '../agents/index.ts';
import {
  type AgentEntitlements,
  type Authorization,
  createAgentService,
  createAgentSvidIssuer,
  createAuthorizedEntriesMethods,
  createBundleService,
  createEntryService,
  createLocalAuthorityService,
  type createRevokingEntries,
  createSvidService,
  createTrustDomainService,
  guardAgentSvids,
  RateLimits,
  type UserNames,
} from '../api/index.ts';
import { withdrawExpiredAuthorities } from '../federation/index.ts';
import { limitLog } from '../ops/index.ts';
import type { SpiffeId } from '../spiffe/index.ts';
import type { GrpcService } from '../wire/index.ts';
import type { Config } from './config.ts';
import { openNodeAttestors } from './node-attestors.ts';
import type { Issuances, Signers } from './open-issuance.ts';
import type { Process } from './process.ts';
import type { ServedService } from './served-service.ts';
import type { ServerRole } from './server-role.ts';
import type { SvidLives } from './svid-lives.ts';

/** What the services work on. */
export interface SpireApiParts extends Signers, Issuances {
  readonly agents: AgentRegistry;
  readonly tokens: JoinTokens;
  readonly entries: ReturnType<typeof createRevokingEntries>;
  readonly entitlements: AgentEntitlements;
  readonly authorization: Authorization;
  readonly lives: SvidLives;
  readonly userName: UserNames;
  /** Judges who calls, and writes down what they change. */
  readonly guard: (service: GrpcService) => GrpcService;
}

/** The services of SPIRE's server API, at the rates that are configured. */
export async function serveSpireApi(
  config: Config,
  process: Process,
  server: ServerRole,
  parts: SpireApiParts,
): Promise<readonly ServedService[]> {
  const { authorization, entries, entitlements, guard } = parts;
  const { clock, log } = process;
  const { trust, foreignBundles, relationships, revocations, evidence } = server;
  const limits = openRateLimits(config, process);
  const guarded = (name: string, service: GrpcService): ServedService => ({
    service: guard(limits.guard(service)),
    file: `spire/api/server/${name}/v1/${name}.proto`,
  });
  const common = { ...parts, trustDomain: config.trustDomain };
  const forDownstream = {
    trustMap: trust,
    downstreamCa: server.downstreamCa,
    // They ask for the bundle as agents without a sync stream do.
    onDownstream: (id: SpiffeId) => evidence.onPolled(id),
  };
  const forAgents = createAuthorizedEntriesMethods({
    authorization,
    entitlements,
    onPolled: (id) => evidence.onPolled(id),
  });
  return [
    guarded('agent', await openAgentService(config, process, server, parts)),
    guarded('svid', createSvidService({ ...common, ...forDownstream, revocations })),
    guarded('entry', createEntryService({ entries, log, forAgents })),
    guarded(
      'bundle',
      createBundleService({
        ...forDownstream,
        authorization,
        downstreamBundle: server.downstreamBundle,
        caTtlMs: config.caTtlMs,
        foreignBundles,
        ownBundle: openAppended(process, server),
        entries,
        clock,
        log,
      }),
    ),
    guarded('localauthority', createLocalAuthorityService(server)),
    guarded(
      'trustdomain',
      createTrustDomainService({
        ...common,
        relationships,
        foreignBundles,
        refresh: (name) => server.federationClient.refresh(name),
      }),
    ),
  ];
}

async function openAgentService(
  config: Config,
  process: Process,
  { revocations }: ServerRole,
  parts: SpireApiParts,
): Promise<GrpcService> {
  const { ca, clock, lives, tokens } = parts;
  const issuer = createAgentSvidIssuer(ca, lives.agentSvid, parts);
  return createAgentService({
    ...parts,
    trustDomain: config.trustDomain,
    attestors: await openNodeAttestors(config, process, tokens),
    issueAgentSvid: guardAgentSvids(issuer, revocations, clock),
  });
}

/** What administrators add to the own bundle; no server replaces it when it ends. */
function openAppended({ clock, log, closing }: Process, { ownBundle }: ServerRole) {
  const publisher = ownBundle.publisherFor('administrator');
  const expiry = withdrawExpiredAuthorities({ publisher, clock, log });
  closing.defer(() => expiry.close());
  return publisher;
}

/** Follows reloads. */
function openRateLimits({ rateLimits }: Config, process: Process): RateLimits {
  const { clock, metrics } = process;
  const log = limitLog(process.log, clock);
  const limits = new RateLimits({ rates: rateLimits, clock, metrics, log });
  const section = 'server.rateLimits';
  const options = [`${section}.attestation`, `${section}.signing`, `${section}.jwtSigning`];
  process.reloader.add(options, (next) => limits.setRates(next.rateLimits));
  return limits;
}
