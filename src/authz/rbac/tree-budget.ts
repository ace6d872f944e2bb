import { TrustplaneError } from '../../spiffe/errors.ts';

/** Of one tree, about as it is encoded; an Envoy takes some twenty times as much memory for it. */
const MAX_BYTES = 24_000_000;

/** Of one service. */
const MAX_RULES = 50_000;

/** @throws TrustplaneError ERR_RBAC_LIMIT */
export function checkRuleCount(count: number): void {
  if (count > MAX_RULES) throw beyond(`the service has ${count} rules`, `${MAX_RULES} rules`);
}

/** What one tree may still cost. */
export class TreeBudget {
  #left = MAX_BYTES;

  /** @throws TrustplaneError ERR_RBAC_LIMIT */
  spend(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0)
      throw beyond(
        'the rules of the service come to a larger tree',
        `a tree of ${MAX_BYTES / 1e6} MB`,
      );
  }
}

function beyond(what: string, most: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_RBAC_LIMIT',
    `${what}; an Envoy is given at most ${most}: leave them to Check, or divide the service`,
  );
}
