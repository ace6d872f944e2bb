import type { Revocation, RevocationSubject } from '../spiffe/index.ts';

/** What is revoked now, live. `watch` calls the listener after each change; it returns the way to stop. */
export interface RevocationSource {
  /** The revocation that refuses the SVID. */
  find(subject: RevocationSubject): Revocation | undefined;
  watch(listener: () => void): () => void;
}
