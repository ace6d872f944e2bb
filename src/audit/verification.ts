import type { LedgerVerification } from '../spiffe/index.ts';

/** What a look at the whole chain found. */
export interface Verification extends LedgerVerification {
  /** What a crash left at the end that was never acknowledged; the server cuts it off when it starts. */
  readonly unacknowledgedBytes: number;
}
