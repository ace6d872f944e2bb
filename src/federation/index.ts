/** Which bundles are trusted now: the own one, kept in the store and seen live, and those of federated trust domains. */
export {
  type OwnBundle,
  type OwnBundleOptions,
  type OwnBundlePublisher,
  openOwnBundle,
} from './own-bundle.ts';
export { type BundleSource, createTrustMapSource } from './trust-map.ts';
