import type { Log } from '../ops/index.ts';
import {
  type Bundle,
  findSharedKeys,
  type TrustMap,
  type TrustMapSource,
} from '../spiffe/index.ts';

/**
 * Warns, however a bundle came, when a key that is new in it stands under another trust domain or for
 * another use too: it weakens what keeps them apart (SPIFFE Trust Domain and Bundle §6.2). Returns the
 * way to stop.
 */
export function warnOfSharedKeys(trust: TrustMapSource, log: Log): () => void {
  let known = new Set(bundlesOf(trust.current()));
  return trust.watch((map) => {
    const bundles = bundlesOf(map);
    const before = known;
    known = new Set(bundles);
    const isNews = (bundle: Bundle): boolean => !before.has(bundle);
    if (!bundles.some(isNews)) return;
    for (const { fingerprint, places } of findSharedKeys(bundles, isNews)) {
      log.warn({ fingerprint, places }, 'one key stands in several bundles or for two uses');
    }
  });
}

function bundlesOf({ own, federated }: TrustMap): readonly Bundle[] {
  return [own, ...federated.values()];
}
