/** Bundles over NATS: signed messages, what a server publishes, what servers and agents take in. */
export type { BroadcastLink } from './broadcast-link.ts';
export { STREAM } from './broadcast-stream.ts';
export {
  type BundleInterest,
  interestsOfAgent,
  interestsOfServer,
  serverIdOf,
  trustedBundle,
} from './bundle-interest.ts';
export {
  type BundleMessage,
  type ExpectedBundle,
  signBundleMessage,
  type VerifiedBundleMessage,
  verifyBundleMessage,
} from './bundle-message.ts';
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
export { ackSubject, allSubjects, bundleSubject, relaySubject } from './subjects.ts';
