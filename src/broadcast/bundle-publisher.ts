import { type Log, limitLog, type Metrics } from '../ops/index.ts';
import { type Bundle, bundleDigest, type Clock, type TrustDomain } from '../spiffe/index.ts';
import { signAckMessage } from './ack-message.ts';
import type { BroadcastLink } from './broadcast-link.ts';
import { broadcastMetricsOf } from './broadcast-metrics.ts';
import { BroadcastStream } from './broadcast-stream.ts';
import { serverIdOf } from './bundle-interest.ts';
import { signBundleMessage } from './bundle-message.ts';
import { type BroadcastDuty, Outbox, type OutboxItem } from './outbox.ts';
import { OwnBundlePublisher } from './own-bundle-publisher.ts';
import { type PublisherCa, PublisherSvids } from './publisher-svids.ts';
import { ackSubject, relaySubject } from './subjects.ts';

export interface BundlePublisherOptions {
  readonly link: BroadcastLink;
  readonly ownBundle: {
    current(): Bundle;
    watch(listener: (bundle: Bundle) => void): () => void;
  };
  /** By trust domain name. */
  readonly foreignBundles: {
    current(): ReadonlyMap<string, Bundle>;
    watch(listener: (bundles: ReadonlyMap<string, Bundle>) => void): () => void;
  };
  readonly ca: PublisherCa;
  /** Who of several servers relays and acknowledges. The own bundle each of them publishes. */
  readonly duty: BroadcastDuty;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** What a server publishes; closed with `close`. */
export interface BundlePublisher {
  /** Why the own bundle is not published as it is; undefined: it is. */
  readonly fault: string | undefined;
  /** Why late readers are not served from a stream; undefined: they are. */
  readonly streamFault: string | undefined;
  close(): Promise<void>;
}

/**
 * Keeps published, now or as soon as there is a connection: the own bundle; for the own trust domain
 * the bundles of others; for those others that their bundles are held here. Those without a sequence
 * number are not: nobody could tell which is later.
 */
export function openBundlePublisher(options: BundlePublisherOptions): BundlePublisher {
  const { link, ownBundle, foreignBundles, ca, clock } = options;
  const log = limitLog(options.log, clock);
  const metrics = broadcastMetricsOf(options.metrics);
  const stream = new BroadcastStream(link, log);
  const { trustDomain } = ownBundle.current();
  const publisherId = serverIdOf(trustDomain);
  const svids = new PublisherSvids({ publisherId, ca, clock, log });
  const parts = { ...options, log, metrics, stream, svids };
  const own = new OwnBundlePublisher(parts);
  const outbox = new Outbox({
    ...parts,
    signers: () => own.signers(),
    isKept: () => stream.fault === undefined,
  });
  const made = new WeakMap<Bundle, readonly OutboxItem[]>();
  const itemsFor = (bundle: Bundle): readonly OutboxItem[] => {
    const items = made.get(bundle) ?? itemsOf(trustDomain, bundle);
    made.set(bundle, items);
    return items;
  };
  const follow = (bundles: ReadonlyMap<string, Bundle>): void =>
    outbox.set([...bundles.values()].flatMap(itemsFor));
  const stop = foreignBundles.watch(follow);
  follow(foreignBundles.current());
  return {
    get fault() {
      return own.fault;
    },
    get streamFault() {
      return stream.fault;
    },
    async close() {
      stop();
      await outbox.close();
      await own.close();
    },
  };
}

function itemsOf(own: TrustDomain, bundle: Bundle): readonly OutboxItem[] {
  const { trustDomain, sequenceNumber: sequence } = bundle;
  if (sequence === undefined) return [];
  const digest = bundleDigest(bundle);
  const ack = { publisher: trustDomain, receiver: own, sequence, digest };
  return [
    {
      subject: relaySubject(own, trustDomain),
      kind: 'relay',
      version: digest,
      write: (times) => signBundleMessage({ bundle, ...times }),
    },
    {
      subject: ackSubject(trustDomain, own),
      kind: 'ack',
      version: digest,
      write: ({ signers, ...times }) => signAckMessage({ ...ack, ...times }, signers),
    },
  ];
}
