/** Which bundles are trusted now: the own one, kept in the store and seen live, and those of federated trust domains. */
export { type ConfiguredRelationship, keepConfigured } from './configured-relationships.ts';
export { endRelationship, requireChangeable, withdraw } from './end-relationship.ts';
export { withdrawExpiredAuthorities } from './expired-authorities.ts';
export { type BundleEdit, ForeignBundles } from './foreign-bundles.ts';
export { lastingForeignBundles, lastingOwnBundle, raiseOwnBundle } from './lasting-bundles.ts';
export { loadFederation } from './load-federation.ts';
export {
  type MergedKeys,
  type OwnBundle,
  type OwnBundlePublisher,
  openOwnBundle,
} from './own-bundle.ts';
export {
  type EndpointProfile,
  type FederationRelationship,
  parseAccept,
  parseEndpointSpiffeId,
  parseEndpointUrl,
  parsePublisherId,
  parseWebCa,
  peerOf,
  plainTerms,
  publisherOf,
} from './relationship.ts';
export { type RelationshipEdit, Relationships } from './relationships.ts';
export { createTrustMapSource } from './trust-map.ts';
export { warnOfSharedKeys } from './warn-of-shared-keys.ts';
