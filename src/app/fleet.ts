import { randomBytes } from 'node:crypto';
import { AgentRegistry, JoinTokens } from '../agents/index.ts';
import {
  AgentEntitlements,
  Authorization,
  audited,
  createAgentService,
  createAgentSvidIssuer,
  createAuthorizedEntriesMethods,
  createBundleService,
  createEntryService,
  createJwtIssuance,
  createLocalAuthorityService,
  createRevokingEntries,
  createSvidIssuance,
  createSvidService,
  createTracedEntries,
  createTrustDomainService,
  type ExplainKnowledge,
  guardAgentSvids,
  guardIssuance,
  type JwtIssuance,
  RateLimits,
  type SvidIssuance,
  WorkloadReports,
} from '../api/index.ts';
import type { AgentEntries } from '../entries/index.ts';
import { withdrawExpiredAuthorities } from '../federation/index.ts';
import { limitLog } from '../ops/index.ts';
import { attestationDigest, type SpiffeId } from '../spiffe/index.ts';
import type { Store } from '../store/index.ts';
import type { Config } from './config.ts';
import { createFreshFacts, issuingFresh } from './fresh-facts.ts';
import { lastSvidEnd } from './last-svid-end.ts';
import { latestIssue } from './latest-issue.ts';
import { openNodeAttestors } from './node-attestors.ts';
import { openUserNames } from './open-audit.ts';
import { servePolicies } from './open-policies.ts';
import { openSync } from './open-sync.ts';
import type { Process } from './process.ts';
import { serveApply } from './serve-apply.ts';
import { serveExplain } from './serve-explain.ts';
import { serveRevocations } from './serve-revocations.ts';
import type { ServedService } from './served-service.ts';
import type { ServerRole } from './server-role.ts';
import { openSvidLives, withDefaultJwtLife, withDefaultLife } from './svid-lives.ts';

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
  readonly jwtIssuance: JwtIssuance;
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
  const { trust, foreignBundles, relationships, revocations, audit } = server;
  const revoking = createRevokingEntries({
    ...server,
    lastSvidEnd: () => lastSvidEnd(trust.current().own, clock.now()),
    latestIssue: () => latestIssue(server.controlPlane, clock.now()),
    log,
  });
  const entries = createTracedEntries(revoking, process.tracing);
  const lives = openSvidLives(config, process);
  const ca = withDefaultLife(server.ca, lives.x509Svid);
  const jwtCa = withDefaultJwtLife(server.jwtCa, lives.jwtSvid);
  const userName = openUserNames(process);
  const signers = { ca, jwtCa, audit, userName };
  const common = { trustDomain: config.trustDomain, ...signers, clock, log, metrics };
  const isShared = server.controlPlane.directory !== undefined;
  const agents = await AgentRegistry.load({
    ...common,
    bucket: store.bucket('agents'),
    isSoleWriter: !isShared,
    graceMs: config.expiredAgentGraceMs,
  });
  closing.defer(() => agents.close());
  const tokens = JoinTokens.create({ ...common, bucket: store.bucket('tokens'), randomBytes });
  closing.defer(() => tokens.close());
  const entitlements = new AgentEntitlements(agents, server.entries);
  closing.defer(() => entitlements.close());
  const workloads = new WorkloadReports(agents);
  const authorization = new Authorization({ agents, entries, revocations, clock, metrics });
  const authorizedEntriesOf = (id: SpiffeId) =>
    local?.id.equals(id) === true ? local.entries : entitlements.of(id);
  const issuableAt = (instant: () => number) =>
    guardIssuance({
      entriesOf: authorizedEntriesOf,
      entryOf: (id) => server.entries.get(id),
      revocations,
      instant,
    });
  // Agents may ask, and be refused, as often as they like.
  const limitedLog = limitLog(log, clock);
  const attestationDigestOf = (id: SpiffeId) => {
    const agent = agents.get(id);
    return agent && attestationDigest(agent.selectors);
  };
  const facts = isShared ? createFreshFacts(store, server) : undefined;
  const svids = createSvidIssuance({
    ...common,
    attestationDigestOf,
    log: limitedLog,
    authorizedEntriesOf: issuableAt(() => clock.now()),
  });
  const jwtSvids = createJwtIssuance({
    ...common,
    attestationDigestOf,
    log: limitedLog,
    // Tokens tell time in seconds.
    authorizedEntriesOf: issuableAt(() => Math.floor(clock.now() / 1_000) * 1_000),
  });
  const issuance = issuingFresh(svids, facts);
  const jwtIssuance = issuingFresh(jwtSvids, facts);
  const agentService = createAgentService({
    ...common,
    agents,
    tokens,
    entries,
    authorization,
    attestors: await openNodeAttestors(config, process, tokens),
    issueAgentSvid: guardAgentSvids(
      createAgentSvidIssuer(ca, lives.agentSvid, common),
      revocations,
      clock,
    ),
  });
  const forDownstream = {
    trustMap: trust,
    downstreamCa: server.downstreamCa,
    // They ask for the bundle as agents without a sync stream do.
    onDownstream: (id: SpiffeId) => server.evidence.onPolled(id),
  };
  const limits = openRateLimits(config, process);
  const forAgents = createAuthorizedEntriesMethods({
    authorization,
    entitlements,
    onPolled: (id) => server.evidence.onPolled(id),
  });
  const guard = (service: ServedService['service']) =>
    authorization.guard(audited(service, { audit, userName }));
  const guarded = (name: string, service: ServedService['service']): ServedService => ({
    service: guard(limits.guard(service)),
    file: `spire/api/server/${name}/v1/${name}.proto`,
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
    issuance,
    jwtIssuance,
    knowledge: explain.knowledge,
    workloads,
    services: [
      guarded('agent', agentService),
      guarded(
        'svid',
        createSvidService({
          ...common,
          ...forDownstream,
          issuance,
          jwtIssuance,
          authorization,
          revocations,
        }),
      ),
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
