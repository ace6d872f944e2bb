import { randomBytes } from 'node:crypto';
import { env } from 'node:process';
import { createLoggerService, requireAdmin } from '../api/index.ts';
import { createLastKeyAttestation } from '../attest/index.ts';
import { createThrowawayCa } from '../ca/index.ts';
import {
  BroadcastOverlay,
  createNodeStatusService,
  type Node,
  openNode,
  openSealedCache,
  type SealedCache,
  type SealedState,
} from '../node/index.ts';
import { limitLog } from '../ops/index.ts';
import type { Clock } from '../spiffe/index.ts';
import { selfTestPeerCredentials } from '../wire/index.ts';
import type { CrlList } from './agent-crls.ts';
import { AgentEntitlements } from './agent-entitlements.ts';
import { AgentRevocations } from './agent-revocations.ts';
import { type AgentRole, serveAgentRole } from './agent-role.ts';
import { both } from './both.ts';
import type { Config } from './config.ts';
import { explainRemote } from './explain-sources.ts';
import type { DeliveredPolicies } from './host-facts.ts';
import { HostTakers, takesPolicies } from './host-takers.ts';
import { openNodeAttestation } from './node-attestation.ts';
import { createProcess, type Process } from './process.ts';
import { reportWorkloads } from './report-workloads.ts';
import { type Running, runProcess } from './run-process.ts';
import type { ServedService } from './served-service.ts';
import { version } from './version.ts';

/** How long a server that may be there is waited for. */
const PATIENCE_MS = 250;

export type { NodeStatus } from '../node/index.ts';

/** The agent of a host that is a member of a trust domain whose servers are elsewhere. */
export interface ServedAgent {
  readonly agent: AgentRole;
  readonly node: Node;
}

/**
 * Starts an agent; resolves when its socket is open, where workloads wait until `node.ready`.
 * @throws TrustplaneError of whatever could not be opened; then nothing is left open
 */
export async function startAgent(
  config: Config,
  process: Process = createProcess(config.logLevel),
): Promise<ServedAgent & Running> {
  return await runProcess(config, process, () => start(config, process));
}

async function start(config: Config, process: Process): Promise<ServedAgent> {
  const { clock, closing, log } = process;
  const [cache] = await both(openCache(config, process), selfTestPeerCredentials());
  const takes = takesPolicies(config);
  const before = withoutPolicies(await cache?.load(), takes);
  const { trustDomain, servers, bootstrap } = config;
  const node = openNode({
    trustDomain,
    servers,
    bootstrap,
    attestation: openNodeAttestation(config.nodeAttestation),
    lastKey: (svid) => createLastKeyAttestation(svid, randomBytes),
    agentVersion: version(),
    takesPolicies: () => takes,
    takesCrls: config.crls !== 'none',
    restored: before,
    saveIdentity: async (identity) => await cache?.saveIdentity(identity),
    saveFacts: (facts, position) => void cache?.saveFacts(facts, position),
    clock,
    random: Math.random,
    log,
    metrics: process.metrics,
    tracing: process.tracing,
  });
  closing.defer(() => node.close());
  process.reloader.add(['agent.servers'], (next) => node.setServers(next.servers));
  const isRestored = before?.facts !== undefined && node.status().agentId !== undefined;
  if (isRestored) {
    const { facts, svids } = before;
    log.info({ entries: facts?.entries.size, svids: svids.length }, 'the last run is remembered');
    node.start();
    await askFirst(node, clock);
  }
  const overlay = new BroadcastOverlay({
    told: node.trust,
    clock,
    restored: before?.heard ?? [],
    onHeard: (foreign, bundle) => void cache?.saveHeard(foreign, bundle),
  });
  closing.defer(() => overlay.close());
  process.metrics.readGauge(
    'trustplane_node_bundles_ahead_count',
    'Trust domains of which a later bundle was heard over NATS than the servers told.',
    (set) => set({}, overlay.ahead),
  );
  const { nats } = config.federation;
  // The client of NATS is loaded where it is used.
  if (nats !== undefined)
    (await import('./hear-bundles.ts')).hearBundles(nats, process, { node, overlay });
  const entitlements = new AgentEntitlements(node.facts, clock);
  closing.defer(() => entitlements.close());
  const revocations = new AgentRevocations(node.facts, () => node.status().agentId);
  closing.defer(() => revocations.close());
  const takers = new HostTakers((all) => node.sayTakers(all));
  const agent = await serveAgentRole(config, process, {
    entitlements,
    issuer: node.issuer,
    jwtIssuer: node.jwtIssuer,
    trust: overlay,
    revocations,
    crls: crlsToldTo(node),
    ...(takes && { policies: deliveredTo(node) }),
    completeness: {
      isComplete: () => node.facts.isComplete || before?.facts !== undefined,
      watch: (listener) => node.facts.watchAll(listener),
    },
    onFactsReports: (reports) => takers.setOthers(reports),
    onPolicyTaker: (taker) => takers.setOwn(taker),
    onEnvoys: (envoys) => takers.setEnvoys(envoys),
    restored: before?.svids ?? [],
    onSvid: (entryId, svid) => void cache?.saveSvid(entryId, svid),
    status: () => node.status(),
    explain: explainRemote(node, clock),
    unmatchableCa: createThrowawayCa(clock.now(), randomBytes),
    onBundleConfirmed: (confirmation) => node.confirm(confirmation),
    services: [statusService(config, process, node), loggerService(process)],
  });
  closing.defer(reportWorkloads(agent.workloads, node, clock));
  // Last: what a token was spent for must not fail on a socket.
  if (!isRestored) node.start();
  watchNode(node, process);
  return { agent, node };
}

/** What was kept while policies were taken is old when they are not. */
function withoutPolicies(state: SealedState | undefined, takes: boolean): SealedState | undefined {
  if (takes || state?.facts?.policies === undefined) return state;
  return { ...state, facts: { ...state.facts, policies: undefined } };
}

/** What the servers told. */
function deliveredTo({ facts }: Pick<Node, 'facts'>): DeliveredPolicies {
  return {
    current: () => facts.facts.policies,
    watch: (listener) => facts.watchAll(listener),
  };
}

/** What the servers told. */
function crlsToldTo({ facts }: Pick<Node, 'facts'>): CrlList {
  return {
    list: () => facts.facts.crls ?? [],
    watch: (listener) => facts.watchAll(listener),
  };
}

/** For administrators of this host. */
function statusService(
  { trustDomain }: Config,
  { clock, readiness, uid }: Process,
  node: Node,
): ServedService {
  const service = createNodeStatusService({
    version: version(),
    trustDomain,
    node,
    checks: () => readiness.check().checks,
    clock,
    startedAt: clock.now(),
  });
  return { service: requireAdmin(service, uid), file: 'trustplane/agent/v1/agent.proto' };
}

function loggerService({ logLevel, log, uid }: Process): ServedService {
  return {
    service: requireAdmin(createLoggerService('agent', logLevel, log), uid),
    file: 'spire/api/agent/logger/v1/logger.proto',
  };
}

/** A server may know better than what was kept: it has its say before that is served, if it answers soon. */
async function askFirst(node: Node, clock: Clock): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = clock.setTimer(PATIENCE_MS, resolve);
    void node.asked.then(() => timer.cancel()).then(resolve);
  });
}

/** Holds the data directory, where there is one. @throws TrustplaneError ERR_DATA_DIR*, ERR_CACHE_*, ERR_STORE_* */
async function openCache(
  { trustDomain, agentDataDir, agentCache }: Config,
  { clock, log, metrics, closing }: Process,
): Promise<SealedCache | undefined> {
  if (agentCache === undefined) return undefined;
  const cache = await openSealedCache({
    trustDomain,
    dataDir: agentDataDir,
    keyFile: agentCache.keyFile,
    credentialsFolder: env.CREDENTIALS_DIRECTORY,
    clock,
    // On a full disk each value that cannot be written is a line.
    log: limitLog(log, clock),
    metrics,
    random: randomBytes,
  });
  closing.defer(() => cache.close());
  return cache;
}

/** Ready from when it has an SVID and facts; what fails later is shown. */
function watchNode(node: Node, { readiness, log, fail }: Process): void {
  let isReady = false;
  readiness.require('node', () => (isReady ? undefined : 'it has not joined yet'));
  readiness.observe('servers', () => node.status().faults[0]?.message);
  readiness.observe('clock', () => node.status().clockFault);
  const onReady = (): void => {
    isReady = true;
    readiness.check();
    const { agentId, server, entries } = node.status();
    log.info({ agentId: agentId?.toString(), server, entries }, 'ready');
  };
  node.ready.then(onReady, (error: Error) => fail(error));
}
