import type { Bundle } from './bundle.ts';
import type { FederationTerms } from './federation-terms.ts';

/** The bundles that are trusted now: the own one and those of federated trust domains. */
export interface TrustMap {
  readonly own: Bundle;
  /** By trust domain name, without the own one. */
  readonly federated: ReadonlyMap<string, Bundle>;
  /** By foreign trust domain name; a domain without: everything accepted, no broadcast believed. */
  readonly terms: ReadonlyMap<string, FederationTerms>;
}

/** A live view of the trust map. `watch` calls the listener after each change, not at once; it returns the way to stop. */
export interface TrustMapSource {
  current(): TrustMap;
  watch(listener: (map: TrustMap) => void): () => void;
}
