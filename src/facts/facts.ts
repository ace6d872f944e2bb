import type { Revocation, TrustMap } from '../spiffe/index.ts';

/** The policies that a control plane delivers, as they were applied. Immutable. */
export interface PolicyTexts {
  /** Of the whole set; at most 128 characters. */
  readonly digest: string;
  /** YAML by name. */
  readonly texts: ReadonlyMap<string, string>;
}

/** All that is needed to judge SVIDs and requests, at one moment. Immutable; what has not changed is the same object. */
export interface Facts {
  readonly trust: TrustMap;
  readonly revocations: readonly Revocation[];
  /** Undefined: they come from somewhere else. */
  readonly policies?: PolicyTexts | undefined;
}

/** Facts, live. `watch` calls the listener after each change, not at once; it returns the way to stop. */
export interface FactsSource {
  /** Undefined until something is known. */
  current(): Facts | undefined;
  watch(listener: () => void): () => void;
}
