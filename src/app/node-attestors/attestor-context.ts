import type { Log } from '../../ops/index.ts';
import type { Clock, TrustDomain } from '../../spiffe/index.ts';

/** What a server has for each of its attestors, beside their settings. */
export interface AttestorContext {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Log;
}
