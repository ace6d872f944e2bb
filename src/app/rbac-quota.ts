/** Filters of Envoys that are one service; each asks for one configuration. */
const MAX_FILTERS = 4_096;
/** Policies that they name beside those that are for their ID (`?policy=`): each is compiled of its own. */
const MAX_NAMED = 64;

/** What one service has of what it asks for. */
interface Share {
  filters: number;
  /** Name of a configuration → filters that ask for it. */
  readonly named: Map<string, number>;
}

/**
 * Bounds what a service has compiled and kept for it: whoever runs with its ID may ask for any names, and
 * takes nothing from other services by it.
 */
export class RbacQuota {
  readonly #shares = new Map<string, Share>();

  /** Undefined: it was counted; else why it cannot be. `name`: where it names a policy. */
  enter(service: string, name: string | undefined): string | undefined {
    const share = this.#shares.get(service) ?? { filters: 0, named: new Map() };
    const { filters, named } = share;
    if (filters >= MAX_FILTERS)
      return `${filters} filters of Envoys that are ${service} ask for rules, the most allowed`;
    const askers = name === undefined ? 0 : (named.get(name) ?? 0);
    if (name !== undefined && askers === 0 && named.size >= MAX_NAMED)
      return `Envoys that are ${service} name ${named.size} policies, the most allowed at one time`;
    share.filters++;
    if (name !== undefined) named.set(name, askers + 1);
    this.#shares.set(service, share);
    return undefined;
  }

  leave(service: string, name: string | undefined): void {
    const share = this.#shares.get(service);
    if (share === undefined) return;
    if (--share.filters === 0) this.#shares.delete(service);
    if (name === undefined) return;
    const askers = (share.named.get(name) ?? 0) - 1;
    if (askers > 0) share.named.set(name, askers);
    else share.named.delete(name);
  }
}
