import { randomBytes } from 'node:crypto';
import {
  type BundlePublisher,
  type BundleSubscriber,
  interestsOfServer,
  type LastBroadcast,
  openBundlePublisher,
  openBundleSubscriber,
  PeerAcks,
  type PublisherCa,
} from '../../src/broadcast/index.ts';
import { createMemoryKeyManager, createX509Ca, type X509Ca } from '../../src/ca/index.ts';
import {
  createTrustMapSource,
  type ForeignBundles,
  loadFederation,
  type OwnBundle,
  openOwnBundle,
} from '../../src/federation/index.ts';
import { type NatsLink, openNats } from '../../src/nats/index.ts';
import {
  createMetrics,
  type Log,
  type Metrics,
  silentLog,
  systemClock,
} from '../../src/ops/index.ts';
import { type Clock, SpiffeId, TrustDomain, type TrustMapSource } from '../../src/spiffe/index.ts';
import { createMemoryStore, type Store } from '../../src/store/index.ts';

/** One server of a trust domain, as far as the broadcast of bundles goes. */
export interface BroadcastDomain extends AsyncDisposable {
  readonly trustDomain: TrustDomain;
  readonly store: Store;
  readonly ca: X509Ca;
  readonly publisherCa: PublisherCa;
  readonly ownBundle: OwnBundle;
  readonly foreignBundles: ForeignBundles;
  readonly trust: TrustMapSource;
  readonly link: NatsLink;
  readonly publisher: BundlePublisher;
  readonly subscriber: BundleSubscriber;
  readonly acks: PeerAcks;
  readonly metrics: Metrics;
  /** Begins to trust the other one's bundle as it is now, and to listen to it. */
  federate(peer: BroadcastDomain): Promise<void>;
  last(peer: BroadcastDomain): LastBroadcast | undefined;
}

export interface BroadcastDomainOptions {
  readonly name: string;
  /** Of the nats-server. */
  readonly url: string;
  readonly serverId?: string;
  /** Another server of the same trust domain shares it. */
  readonly store?: Store;
  readonly clock?: Clock;
  readonly log?: Log;
}

export async function openBroadcastDomain({
  name,
  url,
  serverId = 's1',
  clock = systemClock,
  log = silentLog,
  store = createMemoryStore({ clock }),
}: BroadcastDomainOptions): Promise<BroadcastDomain> {
  const trustDomain = TrustDomain.parse(name);
  const metrics = createMetrics();
  const common = { trustDomain, clock, log, metrics };
  const bucket = store.bucket('authorities');
  const ownBundle = await openOwnBundle({ ...common, bucket });
  const federation = await loadFederation({
    ...common,
    bucket: store.bucket('federation'),
  });
  const { foreignBundles } = federation;
  const own = ownBundle.publisherFor(serverId);
  const ca = await createX509Ca({
    ...common,
    serverId,
    bucket,
    keyManager: createMemoryKeyManager(),
    ownBundle: own,
    random: randomBytes,
  });
  const trust = createTrustMapSource({ ownBundle, foreignBundles });
  const link = openNats({ ...common, servers: [url], purpose: 'broadcast', name });
  const peers = new Map<string, { trustDomain: TrustDomain; publisherId: SpiffeId }>();
  const trusted = (of: TrustDomain) =>
    of.equals(trustDomain) ? trust.current().own : trust.current().federated.get(of.name);
  const publisherCa: PublisherCa = {
    authorities: () =>
      ca.anchors().map((one) => ({ ...one, publishedAt: own.find(one.anchor)?.publishedAt })),
    issue: (id, request) => ca.issueX509SvidUnder(id, request),
  };
  const publisher = openBundlePublisher({
    ...common,
    link,
    ownBundle,
    foreignBundles,
    ca: publisherCa,
    duty: { isMine: () => true, watch: () => () => {} },
  });
  const subscriber = openBundleSubscriber({
    ...common,
    link,
    interests: () => interestsOfServer(peers.values()),
    trusted,
    take: async (bundle) => void (await foreignBundles.set(bundle)),
  });
  const acks = new PeerAcks({ ...common, trusted, awaited: () => [...peers.values()] });
  acks.listen(link);
  foreignBundles.watch(() => {
    subscriber.refresh();
    acks.reconsider();
  });
  return {
    ...common,
    store,
    ca,
    publisherCa,
    ownBundle,
    foreignBundles,
    trust,
    link,
    publisher,
    subscriber,
    acks,
    async federate(peer) {
      const publisherId = SpiffeId.parse(`spiffe://${peer.trustDomain.name}/spire/server`);
      peers.set(peer.trustDomain.name, { trustDomain: peer.trustDomain, publisherId });
      await foreignBundles.set(peer.ownBundle.current());
      subscriber.refresh();
      acks.refresh();
    },
    last: (peer) => subscriber.lastOf(peer.trustDomain),
    async [Symbol.asyncDispose]() {
      await acks.close();
      await subscriber.close();
      await publisher.close();
      await link.close();
      await ca.close();
      await federation.close();
      await ownBundle.close();
    },
  };
}
