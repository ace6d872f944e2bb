import { randomBytes } from 'node:crypto';
import { RotationEvidence } from '../agents/index.ts';
import type { AuditLedger } from '../audit/index.ts';
import { PeerAcks, trustedBundle } from '../broadcast/index.ts';
import {
  createJwtCa,
  createX509Ca,
  type JwtCa,
  type UpstreamFollower,
  type X509Ca,
} from '../ca/index.ts';
import { EntryRegistry } from '../entries/index.ts';
import type { FederationClient } from '../federation/client/index.ts';
import {
  createTrustMapSource,
  type OwnBundle,
  type OwnBundlePublisher,
  openOwnBundle,
  peerOf,
  warnOfSharedKeys,
  withdrawExpiredAuthorities,
} from '../federation/index.ts';
import { limitLog } from '../ops/index.ts';
import { RevocationRegistry } from '../revocations/index.ts';
import type { TrustMapSource } from '../spiffe/index.ts';
import type { Bucket, Store } from '../store/index.ts';
import { returnFreedMemory } from '../wire/index.ts';
import { both } from './both.ts';
import { broadcastBundles } from './broadcast-bundles.ts';
import type { Config } from './config.ts';
import {
  type ControlPlane,
  openControlPlane,
  openSharedGate,
  sweepAfterOthers,
} from './control-plane.ts';
import { openAudit } from './open-audit.ts';
import { type Crls, openCrls } from './open-crls.ts';
import { type Federation, openFederation } from './open-federation.ts';
import { openFederationClient } from './open-federation-client.ts';
import { openKeyManager } from './open-key-manager.ts';
import { openPolicies, type Policies } from './open-policies.ts';
import { openUpstream } from './open-upstream.ts';
import type { Process } from './process.ts';
import { type OwnSvidCa, recordOwnSvids } from './record-own-svids.ts';
import { openServerIdentity, type ServerIdentity } from './server-identity.ts';
import { shareTakers } from './share-takers.ts';
import { watchAuthorities, watchRunway } from './watch-authorities.ts';

/** Who publishes in the own bundle what servers below this one have. */
const DOWNSTREAM = 'downstream';

/** The control plane of one trust domain: what it owns, before it serves anybody. */
export interface ServerRole extends Federation, Policies, Crls {
  /** The servers that share the store. */
  readonly controlPlane: ControlPlane;
  readonly ownBundle: OwnBundle;
  readonly entries: EntryRegistry;
  readonly ca: X509Ca;
  readonly jwtCa: JwtCa;
  readonly revocations: RevocationRegistry;
  /** What this server handed out and was told to do. */
  readonly audit: AuditLedger;
  /** Who has which bundle; to be told which agents there are before it can tell anything. */
  readonly evidence: RotationEvidence;
  /** Which trust domains that are waited for have which bundle; to be told where to listen. */
  readonly acks: PeerAcks;
  readonly trust: TrustMapSource;
  /** Fetches the bundles of foreign trust domains. */
  readonly federationClient: FederationClient;
  /** What its ports show, opened when the first one asks. */
  readonly identity: () => Promise<ServerIdentity>;
  /** What stands above this server; undefined when its authorities are self-signed. */
  readonly upstream: UpstreamFollower | undefined;
  /** Of what servers below this one publish. */
  readonly downstreamBundle: Pick<OwnBundlePublisher, 'publishJwt' | 'jwtAuthorities'>;
}

/** Opens what the server owns, in the order in which each thing needs the last. What is opened is closed with `process`. */
export async function openServerRole(
  config: Config,
  process: Process,
  store: Store,
): Promise<ServerRole> {
  const { log, metrics, clock, closing } = process;
  const bucket = store.bucket('authorities');
  const isShared = config.sharedStore !== undefined;
  const controlPlane = await openControlPlane(config, process, store, isShared);
  const [audit, federation] = await both(
    openAudit(config, process, controlPlane.serverId),
    openFederation(config, process, store),
  );
  // Suspensions are known before the entries.
  const [revocations, policies] = await both(
    RevocationRegistry.load({ bucket: store.bucket('revocations'), clock, log, metrics }),
    openPolicies(process, store),
  );
  closing.defer(() => revocations.close());
  const [ownBundle, entries] = await both(
    openOwnBundle({
      bucket,
      trustDomain: config.trustDomain,
      refreshHintSeconds: Math.ceil(config.refreshHintMs / 1_000),
      clock,
      log,
    }),
    EntryRegistry.load({
      bucket: store.bucket('entries'),
      trustDomain: config.trustDomain,
      clock,
      randomBytes,
      log,
      metrics,
      suspensions: revocations.suspensions,
    }),
  );
  returnFreedMemory();
  closing.defer(() => ownBundle.close());
  closing.defer(() => entries.close());
  shareTakers(controlPlane, policies, process);
  const acks = openAcks(config, process, { ...federation, ownBundle });
  const evidence = new RotationEvidence({
    ...process,
    peers: acks,
    // Agents may name streams that lag as often as they like.
    log: limitLog(log, clock),
    ownBundle,
    hasAnonymousReaders: config.federation.bundleEndpoint !== undefined,
  });
  closing.defer(() => evidence.close());
  const authorities = await openAuthorities(config, process, bucket, {
    controlPlane,
    ownBundle,
    evidence,
  });
  const crls = await openCrls(process, bucket, {
    ...authorities,
    revocations,
    ledger: audit,
  });
  await sweepAfterOthers(controlPlane, process, ownBundle);
  const { foreignBundles, relationships: terms } = federation;
  const trust = createTrustMapSource({ ownBundle, foreignBundles, terms });
  closing.defer(warnOfSharedKeys(trust, limitLog(log, clock)));
  const ca = recordOwnSvids(authorities.ca, audit, clock);
  const identity = shareIdentity(config, process, { ca, trust });
  const federated = {
    ...federation,
    ...policies,
    controlPlane,
    ownBundle,
    ca,
    acks,
    trust,
    identity,
  };
  const broadcast = await broadcastBundles(config, process, federated);
  const federationClient = await openFederationClient(
    config,
    process,
    federated,
    await controlPlane.duty('poll-bundles'),
    broadcast,
  );
  return {
    ...federated,
    ...authorities,
    ...crls,
    audit,
    entries,
    revocations,
    evidence,
    federationClient,
  };
}

/** Those with whom the relationship says so are waited for. */
function openAcks(
  { trustDomain }: Config,
  { clock, log, metrics, closing }: Process,
  { ownBundle, foreignBundles, relationships }: Federation & Pick<ServerRole, 'ownBundle'>,
): PeerAcks {
  const acks = new PeerAcks({
    trustDomain,
    awaited: () => relationships.all().flatMap((one) => (one.awaitAck ? [peerOf(one)] : [])),
    trusted: (of) =>
      trustedBundle({ own: ownBundle.current(), federated: foreignBundles.current() }, of),
    clock,
    log,
    metrics,
  });
  closing.defer(() => acks.close());
  closing.defer(relationships.watch(() => acks.refresh()));
  closing.defer(foreignBundles.watch(() => acks.reconsider()));
  return acks;
}

/** All ports show the same SVID. */
function shareIdentity(
  { trustDomain }: Config,
  { clock, log, closing, failed }: Process,
  { ca, trust }: Pick<ServerRole, 'trust'> & { readonly ca: OwnSvidCa },
): ServerRole['identity'] {
  const open = async (): Promise<ServerIdentity> => {
    // Servers that were there before sign until everybody knows what this one signs with.
    await Promise.race([ca.active, failing(failed)]);
    const identity = await openServerIdentity({ trustDomain, ca, trust, clock, log });
    closing.defer(() => identity.close());
    return identity;
  };
  let opened: Promise<ServerIdentity> | undefined;
  return () => (opened ??= open());
}

async function failing(failed: Process['failed']): Promise<never> {
  throw await failed;
}

/** One after the other: both write the bundle and the folder of the keys. */
async function openAuthorities(
  config: Config,
  process: Process,
  bucket: Bucket,
  {
    controlPlane,
    ownBundle,
    evidence,
  }: Pick<ServerRole, 'controlPlane' | 'ownBundle' | 'evidence'>,
): Promise<Pick<ServerRole, 'ca' | 'jwtCa' | 'upstream' | 'downstreamBundle'>> {
  const { log, metrics, clock, closing, readiness } = process;
  const { serverId, directory } = controlPlane;
  let ca: X509Ca | undefined;
  const upstream = await openUpstream(config, process, bucket, {
    ownBundle,
    publishers: [serverId, DOWNSTREAM],
    ca: () => ca,
  });
  const publisher = ownBundle.publisherFor(serverId);
  const common = {
    trustDomain: config.trustDomain,
    serverId,
    othersSign: () => directory?.othersSign === true,
    isLive: (id: string) => directory?.isLive(id) === true,
    bucket,
    keyManager: await openKeyManager(config, process, bucket),
    ownBundle: publisher,
    clock,
    random: randomBytes,
    log,
    metrics,
    caTtlSeconds: Math.ceil(config.caTtlMs / 1_000),
  };
  ca = await createX509Ca({
    ...common,
    x509SvidTtlSeconds: Math.ceil(config.x509SvidTtlMs / 1_000),
    backdateSeconds: Math.ceil(config.backdateMs / 1_000),
    keyType: config.caKeyType,
    gate: openSharedGate(controlPlane, evidence, process),
    upstream,
  });
  const x509Ca = ca;
  directory?.sayWhatSigns(() => activeOf(x509Ca));
  x509Ca.onRotation(() => directory?.sayChanged());
  closing.defer(() => x509Ca.close());
  watchAuthorities(['ca', 'rotation'], ca, readiness);
  const jwtCa = await createJwtCa({
    ...common,
    ownBundle: upstream?.publishing(publisher) ?? publisher,
    refreshHintSeconds: Math.ceil(config.refreshHintMs / 1_000),
    keyType: config.jwtKeyType,
    issuer: config.jwtIssuer,
  });
  closing.defer(() => jwtCa.close());
  watchAuthorities(['jwt-ca', 'jwt-rotation'], jwtCa, readiness);
  watchRunway({ x509: ca, jwt: jwtCa }, metrics, clock);
  return { ca, jwtCa, upstream, downstreamBundle: openDownstream(process, ownBundle, upstream) };
}

function activeOf(ca: X509Ca): string | undefined {
  return ca.status().authorities.find(({ state }) => state === 'active')?.authorityId;
}

/** What servers below publish is known upstream too, and gone soon after it has ended. */
function openDownstream(
  process: Process,
  ownBundle: OwnBundle,
  upstream: UpstreamFollower | undefined,
): ServerRole['downstreamBundle'] {
  const publisher = ownBundle.publisherFor(DOWNSTREAM);
  const expiry = withdrawExpiredAuthorities({ ...process, publisher, graceMs: 60_000 });
  process.closing.defer(() => expiry.close());
  const told = upstream?.publishing(publisher) ?? publisher;
  return {
    publishJwt: (key) => told.publishJwt(key),
    jwtAuthorities: () => publisher.jwtAuthorities(),
  };
}
