import type { PolicyTexts, Revocation, TrustMap } from '../spiffe/index.ts';

/** All that is needed to judge SVIDs and requests, at one moment. Immutable; what has not changed is the same object. */
export interface Facts {
  readonly trust: TrustMap;
  readonly revocations: readonly Revocation[];
  /** What the servers deliver; undefined: nothing. */
  readonly policies?: PolicyTexts | undefined;
}

/** Facts, live. `watch` calls the listener after each change, not at once; it returns the way to stop. */
export interface FactsSource {
  /** Undefined until something is known. */
  current(): Facts | undefined;
  watch(listener: () => void): () => void;
}
