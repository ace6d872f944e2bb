import type { Bundle, TrustMap, TrustMapSource } from '../spiffe/index.ts';

/** A bundle that changes; `watch` calls the listener after each change. */
export interface BundleSource {
  current(): Bundle;
  watch(listener: (bundle: Bundle) => void): () => void;
}

/** The bundles of foreign trust domains by name; a new map after each change. */
export interface ForeignBundleSource {
  current(): ReadonlyMap<string, Bundle>;
  watch(listener: (bundles: ReadonlyMap<string, Bundle>) => void): () => void;
}

/** The live trust map of this process; no foreign trust domain unless bundles of theirs are given. Each map is immutable; a change makes a new one. */
export function createTrustMapSource(options: {
  readonly ownBundle: BundleSource;
  readonly foreignBundles?: ForeignBundleSource;
}): TrustMapSource {
  const { ownBundle, foreignBundles } = options;
  const listeners = new Set<(map: TrustMap) => void>();
  let map: TrustMap = {
    own: ownBundle.current(),
    federated: foreignBundles?.current() ?? new Map(),
    terms: new Map(),
  };
  const change = (part: Partial<TrustMap>): void => {
    map = { ...map, ...part };
    for (const listener of listeners) listener(map);
  };
  ownBundle.watch((own) => change({ own }));
  foreignBundles?.watch((federated) => change({ federated }));
  return {
    current: () => map,
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
