/** Bundles over NATS: signed messages, what a server publishes, what servers and agents take in. */
export type { BroadcastLink } from './broadcast-link.ts';
export { STREAM } from './broadcast-stream.ts';
export {
  type BundleInterest,
  interestsOfAgent,
  interestsOfServer,
  trustedBundle,
} from './bundle-interest.ts';
export {
  type BundlePublisher,
  type BundlePublisherOptions,
  openBundlePublisher,
} from './bundle-publisher.ts';
export {
  type BundleSubscriber,
  type BundleSubscriberOptions,
  type LastBroadcast,
  openBundleSubscriber,
} from './bundle-subscriber.ts';
export { PeerAcks, type PeerAcksOptions } from './peer-acks.ts';
export type { PublisherCa } from './publisher-svids.ts';
export type { PublishingAuthority } from './publishing-authority.ts';
export type { MessageSigner } from './signed-message.ts';
export { ackSubjects, allSubjects, bundleSubject, relaySubjects } from './subjects.ts';
