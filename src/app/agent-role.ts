import { createAgentExplainService, requireAdmin } from '../api/index.ts';
import { createWorkloadAttestation, type WorkloadAttestation } from '../attest/index.ts';
import { createEcds, createExtensionType, type ExtensionSource } from '../ecds/index.ts';
import type { FactsReport } from '../facts/index.ts';
import type { NodeStatus } from '../node/index.ts';
import { limitLog } from '../ops/index.ts';
import { createSds, createSecretType, type SecretOptions } from '../sds/index.ts';
import type { PolicyTaker, TrustMapSource } from '../spiffe/index.ts';
import {
  type CrlSource,
  createTokenSource,
  createWorkloadSource,
  type EntitlementSource,
  type IssuedSvid,
  type JwtIssuer,
  type LiveTokenSource,
  type LiveWorkloadSource,
  type RestoredSvid,
  type RevocationSource,
  type SvidIssuer,
} from '../svid/index.ts';
import { type BundleConfirmation, BundleConfirmations } from '../sync/index.ts';
import { type PeerProcess, serveUnix } from '../wire/index.ts';
import { createWorkloadApi } from '../workload/index.ts';
import { createAds, type DiscoveryGround } from '../xds/index.ts';
import { AgentCrls, type CrlList } from './agent-crls.ts';
import { createAgentDebug } from './agent-debug.ts';
import { AgentExplain, type ExplainSources } from './agent-explain.ts';
import type { Config } from './config.ts';
import type { HostAuthz, HostAuthzSources } from './host-authz.ts';
import type { Completeness, DeliveredPolicies, RevocationList } from './host-facts.ts';
import { openFacts } from './open-facts.ts';
import { OpenStreams } from './open-streams.ts';
import { keepListening, type Process } from './process.ts';
import { type ServedService, withHealth } from './served-service.ts';
import { openWorkloadAttestors } from './workload-attestors.ts';

/** Any local user may ask; Envoy's longest request, with a description of itself, has some 30 KB. */
const MAX_REQUEST_BYTES = 262_144;
/** Rules for an Envoy, with those of a draft beside them, as large as trees are made. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** Nobody gives Envoys rules here. */
const noExtensions: ExtensionSource = {
  open: () => ({ resolve: () => 'pending', onVerdict: () => {}, close: () => {} }),
};

/** What an agent needs from its server. */
export interface AgentSources {
  readonly entitlements: EntitlementSource;
  readonly issuer: SvidIssuer;
  readonly jwtIssuer: JwtIssuer;
  readonly trust: TrustMapSource;
  /** Default: nothing is revoked. */
  readonly revocations?: RevocationSource & RevocationList;
  /** Of the own authorities. Default: there are none. */
  readonly crls?: CrlList;
  /** Whether all of this was told. Default: it was. */
  readonly completeness?: Completeness;
  /** What the servers deliver. Default: nothing. */
  readonly policies?: DeliveredPolicies;
  /** Told what the programs of this host that read its facts have in force. */
  readonly onFactsReports?: (reports: readonly FactsReport[]) => void;
  /** Told what decides by the policies that are delivered has in force, after each change. */
  readonly onPolicyTaker?: (taker: PolicyTaker) => void;
  /** The same of the Envoys that are given rules. */
  readonly onEnvoys?: (takers: readonly PolicyTaker[]) => void;
  /** SVIDs of the last run. */
  readonly restored?: readonly RestoredSvid[];
  /** Told of each SVID that comes into use, and that one is not used again (undefined). */
  readonly onSvid?: (entryId: string, svid: IssuedSvid | undefined) => void;
  /** This host as a member of the trust domain; default: an agent in the server's process. */
  readonly status?: () => Pick<NodeStatus, 'certificateChain' | 'updatedAt'>;
  /** Told whenever all who are served have the own bundle, save those who are named. */
  readonly onBundleConfirmed: (confirmation: BundleConfirmation) => void;
  /** What is to be said to whoever asks why. */
  readonly explain: ExplainSources;
  /** DER of a CA certificate that signed nothing. */
  readonly unmatchableCa: Uint8Array;
  /** What else is served on the agent's socket. */
  readonly services?: readonly ServedService[];
}

/** The agent of one host: attests local workloads, serves them the Workload API and SDS on one Unix socket. */
export interface AgentRole {
  readonly workloads: LiveWorkloadSource<PeerProcess>;
}

/** Serves until `process` closes. */
export async function serveAgentRole(
  config: Config,
  process: Process,
  sources: AgentSources,
): Promise<AgentRole> {
  const { metrics, clock, closing } = process;
  // Any local user may ask, and be refused, as often as they like.
  const log = limitLog(process.log, clock);
  const debug = createAgentDebug(process, sources.status, sources.onSvid);
  const crls = openCrls(config, { ...process, log }, sources.crls);
  const told = { ...sources, onSvid: debug.onSvid, crls };
  const { workloads, tokens, attestation } = createSources(config, { ...process, log }, told);
  closing.defer(() => workloads.close());
  closing.defer(() => tokens.close());
  const audience = new BundleConfirmations({
    trust: sources.trust,
    clock,
    onConfirmed: sources.onBundleConfirmed,
  });
  closing.defer(() => audience.close());
  process.readiness.observe('svids', () => {
    const { isOk, failing } = workloads.health();
    return isOk ? undefined : `${failing.length} entries have no fresh SVID`;
  });
  const register = new OpenStreams();
  const { tracing } = process;
  const common = { source: workloads, audience, clock, log, metrics, register, tracing };
  const explanations = new AgentExplain({
    ...sources,
    trustDomain: config.trustDomain,
    clock,
    sources: sources.explain,
    report: (process) => attestation.report(process),
    match: (selectors) => sources.entitlements.match(selectors),
    svids: workloads,
    revocations: sources.revocations,
    streams: register,
    secretNames: [
      config.sdsNames.defaultSvid,
      config.sdsNames.defaultBundle,
      config.sdsNames.allBundles,
    ],
  });
  const workloadApi: ServedService = {
    service: createWorkloadApi({
      ...common,
      tokens,
      allowUnauthenticatedVerifiers: config.allowUnauthenticatedVerifiers,
      allowedForeignJwtClaims: config.allowedForeignJwtClaims,
    }),
    file: 'workload.proto',
  };
  const facts = openFacts(
    config,
    { ...process, log },
    sources,
    sources.onFactsReports ?? (() => {}),
  );
  const authz = await openAuthz(config, process, { ...sources, facts });
  const discovery = serveDiscovery(config, common, sources.unmatchableCa, authz?.extensions);
  const server = await serveUnix({
    path: config.socket,
    mode: 0o777,
    services: withHealth(
      [
        workloadApi,
        ...discovery,
        debug.service(tokens),
        {
          service: requireAdmin(createAgentExplainService(explanations), process.uid),
          file: 'trustplane/explain/v1/explain.proto',
        },
        facts.service,
        ...(sources.services ?? []),
      ],
      process,
    ),
    maxReceiveBytes: MAX_REQUEST_BYTES,
    maxSendBytes: MAX_ANSWER_BYTES,
    name: 'agent',
    log,
    metrics,
    clock,
  });
  keepListening(process, server);
  await authz?.serve();
  return { workloads };
}

/** What Envoys ask for: secrets, rules, and both on one stream. */
function serveDiscovery(
  { sdsNames: names, disableSpiffeCertValidation, crls }: Config,
  ground: DiscoveryGround & Pick<SecretOptions, 'audience'>,
  unmatchableCa: Uint8Array,
  extensions: ExtensionSource = noExtensions,
): readonly ServedService[] {
  const secrets = createSecretType({
    ...ground,
    names,
    disableSpiffeCertValidation,
    crls: crls === 'all',
    unmatchableCa,
  });
  const rules = createExtensionType({ ...ground, extensions });
  return [
    { service: createSds(secrets, ground), file: 'envoy/service/secret/v3/sds.proto' },
    {
      service: createEcds(rules, ground),
      file: 'envoy/service/extension/v3/config_discovery.proto',
    },
    {
      service: createAds([secrets, rules], ground),
      file: 'envoy/service/discovery/v3/ads.proto',
    },
  ];
}

/** Undefined: nobody is given any. */
function openCrls(
  config: Config,
  process: Process,
  known: CrlList | undefined,
): AgentCrls | undefined {
  if (config.crls === 'none' || known === undefined) return undefined;
  const crls = new AgentCrls(known, process);
  process.closing.defer(() => crls.close());
  return crls;
}

/** What decides requests is loaded where it is configured. */
async function openAuthz(
  config: Config,
  process: Process,
  sources: HostAuthzSources,
): Promise<HostAuthz | undefined> {
  if (config.authz === undefined) return undefined;
  const { openHostAuthz } = await import('./host-authz.ts');
  return openHostAuthz(config.authz, config, process, sources);
}

function createSources(
  config: Config,
  { log, metrics, clock, tracing }: Process,
  {
    issuer,
    jwtIssuer,
    restored,
    onSvid,
    crls,
    ...sources
  }: Omit<AgentSources, 'crls'> & { readonly crls: CrlSource | undefined },
): {
  readonly workloads: LiveWorkloadSource<PeerProcess>;
  readonly tokens: LiveTokenSource<PeerProcess>;
  readonly attestation: WorkloadAttestation;
} {
  const attestors = openWorkloadAttestors(config.workloadAttestors, { log, metrics, clock });
  const attestation = createWorkloadAttestation({ attestors, log, metrics, clock });
  const common = {
    attest: (peer: PeerProcess, again?: () => void) => attestation.attest(peer, again),
    isAlive: (peer: PeerProcess) => peer.isAlive(),
    ...sources,
    clock,
    random: Math.random,
    log,
    metrics,
    tracing,
  };
  return {
    attestation,
    workloads: createWorkloadSource({
      ...common,
      issuer,
      ...(crls && { crls }),
      ...(restored && { restored }),
      ...(onSvid && { onSvid }),
    }),
    tokens: createTokenSource({ ...common, issuer: jwtIssuer }),
  };
}
