import type { Bundle, TrustMap, TrustMapSource } from '../spiffe/index.ts';

/** A bundle that changes; `watch` calls the listener after each change. */
export interface BundleSource {
  current(): Bundle;
  watch(listener: (bundle: Bundle) => void): () => void;
}

const NO_BUNDLES: ReadonlyMap<string, Bundle> = new Map();

/** The live trust map of this process. Each map is immutable; a change makes a new one. */
export function createTrustMapSource(options: {
  readonly ownBundle: BundleSource;
}): TrustMapSource {
  const { ownBundle } = options;
  const listeners = new Set<(map: TrustMap) => void>();
  let map: TrustMap = { own: ownBundle.current(), federated: NO_BUNDLES };
  ownBundle.watch((own) => {
    map = { ...map, own };
    for (const listener of listeners) listener(map);
  });
  return {
    current: () => map,
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
