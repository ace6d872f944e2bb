import type { Bundle } from '../spiffe/index.ts';

/** What those who are served check against, live. `watch` calls the listener after each change; it returns the way to stop. */
export interface CrlSource {
  /** DER, one for each authority of the own bundle; or none. The same list for the same bundle until a change. */
  current(own: Bundle): readonly Uint8Array[];
  watch(listener: () => void): () => void;
}
