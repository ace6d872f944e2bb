/** Which bundles are trusted now: the own one, kept in the store and seen live, and those of federated trust domains. */
export { type OwnBundle, openOwnBundle } from './own-bundle.ts';
export { createTrustMapSource } from './trust-map.ts';
