import { TrustplaneError } from '../../spiffe/errors.ts';

/** Of one tree, about as it is encoded; an Envoy takes some ten times as much memory for it. */
const MAX_BYTES = 24_000_000;

/** What one tree may still cost. */
export class TreeBudget {
  #left = MAX_BYTES;

  /** @throws TrustplaneError ERR_RBAC_LIMIT */
  spend(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0)
      throw new TrustplaneError(
        'ERR_RBAC_LIMIT',
        `the rules of the service come to a tree of over ${MAX_BYTES / 1e6} MB for Envoy, which is the most it is given; leave them to Check, or have fewer rules, patterns and exceptions`,
      );
  }
}
