import {
  interestsOfServer,
  type LastBroadcast,
  openBundlePublisher,
  openBundleSubscriber,
  type PeerAcks,
  type PublisherCa,
  trustedBundle,
} from '../broadcast/index.ts';
import type { X509Ca } from '../ca/index.ts';
import {
  type ForeignBundles,
  type OwnBundle,
  peerOf,
  type Relationships,
} from '../federation/index.ts';
import type { TrustDomain, TrustMapSource } from '../spiffe/index.ts';
import type { Duty } from '../store/index.ts';
import type { NatsConfig } from './nats-config.ts';
import { openNatsLink } from './open-nats-link.ts';
import type { Process } from './process.ts';
import type { ServerIdentity } from './server-identity.ts';
import { takeBundle } from './take-bundle.ts';

/** What of a server takes part. */
export interface BroadcastingServer {
  readonly trust: TrustMapSource;
  readonly ownBundle: OwnBundle;
  readonly foreignBundles: ForeignBundles;
  readonly relationships: Relationships;
  readonly acks: PeerAcks;
  readonly ca: Pick<X509Ca, 'anchors' | 'issueX509SvidUnder'>;
  readonly identity: () => Promise<Pick<ServerIdentity, 'current'>>;
}

/** What this server hears over NATS. */
export interface Broadcast {
  lastOf(trustDomain: TrustDomain): LastBroadcast | undefined;
}

/**
 * Publishes the own bundle over NATS and takes in those of the relationships' trust domains; closed
 * with `process`. It waits for no connection.
 * @param duty relays and acknowledges
 * @throws TrustplaneError ERR_NATS_*
 */
export async function openBroadcast(
  nats: NatsConfig,
  process: Process,
  server: BroadcastingServer,
  duty: Duty,
): Promise<Broadcast> {
  const { closing, readiness } = process;
  const { trust, ownBundle, foreignBundles, relationships, acks } = server;
  const identity = await server.identity();
  const link = openNatsLink(nats, process, {
    role: 'server',
    identity: () => identity.current(),
    trust,
  });
  acks.listen(link);
  const publisher = openBundlePublisher({
    ...process,
    link,
    ownBundle,
    foreignBundles,
    ca: publisherCaOf(server),
    duty,
  });
  closing.defer(() => publisher.close());
  const subscriber = openBundleSubscriber({
    ...process,
    link,
    interests: () => interestsOfServer(relationships.all().map(peerOf)),
    trusted: (trustDomain) => trustedBundle(trust.current(), trustDomain),
    take: (bundle) => takeBundle(server, bundle),
  });
  closing.defer(() => subscriber.close());
  closing.defer(trust.watch(() => subscriber.refresh()));
  closing.defer(relationships.watch(() => subscriber.refresh()));
  readiness.observe('broadcast', () => publisher.fault ?? publisher.streamFault);
  return { lastOf: (trustDomain) => subscriber.lastOf(trustDomain) };
}

function publisherCaOf({
  ca,
  ownBundle,
}: Pick<BroadcastingServer, 'ca' | 'ownBundle'>): PublisherCa {
  // It reads; nothing is published in this name.
  const bundle = ownBundle.publisherFor('broadcast');
  return {
    authorities: () =>
      ca.anchors().map((one) => ({ ...one, publishedAt: bundle.find(one.anchor)?.publishedAt })),
    issue: (authorityId, request) => ca.issueX509SvidUnder(authorityId, request),
  };
}
