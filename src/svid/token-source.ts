import type { Log, Metrics } from '../ops/index.ts';
import {
  type Bundle,
  type Clock,
  isAccepted,
  isCurrent,
  type JwtIdentity,
  type JwtIdentityRequest,
  type RegistrationEntry,
  type SelectorSet,
  type TokenSource,
  type TrustMapSource,
  TrustplaneError,
  type WorkloadTrust,
} from '../spiffe/index.ts';
import { JwtCache } from './jwt-cache.ts';
import type { JwtIssuer } from './jwt-issuer.ts';
import { createJwtMetrics } from './jwt-metrics.ts';
import type { RevocationSource } from './revocation-source.ts';
import type { EntitlementSource } from './workload-cache.ts';

export interface TokenSourceOptions<P> {
  readonly entitlements: EntitlementSource;
  readonly trust: TrustMapSource;
  readonly issuer: JwtIssuer;
  /** Default: nothing is revoked. */
  readonly revocations?: RevocationSource;
  /** Attests a process as it is now. Settles within a bounded time. */
  attest(process: P): Promise<SelectorSet>;
  /** False once the process is dead or replaced. */
  isAlive(process: P): boolean;
  readonly clock: Clock;
  /** From 0 to 1, for jitter. */
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** JWT-SVIDs of all workloads of a host. */
export interface LiveTokenSource<P> extends TokenSource<P> {
  /** JWT-SVIDs it keeps now. */
  readonly size: number;
  /** Questions that wait are left without an answer. */
  close(): void;
}

export function createTokenSource<P>(options: TokenSourceOptions<P>): LiveTokenSource<P> {
  return new CachedTokenSource(options);
}

class CachedTokenSource<P> implements LiveTokenSource<P> {
  readonly #options: TokenSourceOptions<P>;
  readonly #cache: JwtCache;
  readonly #unwatch: readonly (() => void)[];
  #scheduled: NodeJS.Immediate | undefined;

  constructor(options: TokenSourceOptions<P>) {
    this.#options = options;
    this.#cache = new JwtCache({
      ...options,
      metrics: createJwtMetrics(options.metrics),
      bundle: () => options.trust.current().own,
    });
    const onChange = (): void => this.#sweepSoon();
    this.#unwatch = [
      options.entitlements.watch(onChange),
      options.trust.watch(onChange),
      options.revocations?.watch(onChange) ?? (() => {}),
    ];
  }

  get size(): number {
    return this.#cache.size;
  }

  async fetchJwtSvids(
    process: P,
    { audience, spiffeId }: JwtIdentityRequest,
    signal: AbortSignal,
  ): Promise<readonly JwtIdentity[]> {
    const isMeant = (entry: RegistrationEntry): boolean =>
      spiffeId === undefined || entry.spiffeId.equals(spiffeId);
    const entries = withUniqueHints(await this.#entitled(process, isMeant, signal));
    const found = await Promise.all(
      entries.filter(({ entry }) => isMeant(entry)).map((each) => this.#fetchOne(each, audience)),
    );
    this.#requireAlive(process);
    return found.filter(({ entryId }) => this.#options.entitlements.get(entryId) !== undefined);
  }

  async fetchTrust(process: P, signal: AbortSignal): Promise<WorkloadTrust> {
    const entries = await this.#entitled(process, () => true, signal);
    const { own, federated, terms } = this.#options.trust.current();
    const bundles = new Map<string, Bundle>();
    for (const { name } of entries.flatMap(({ federatesWith }) => federatesWith)) {
      const bundle = federated.get(name);
      if (bundle !== undefined) bundles.set(name, bundle);
    }
    return {
      hasIdentity: entries.length > 0,
      own,
      federated: bundles,
      isAccepted: (id) => isAccepted(terms, id),
      // Which agent it was issued through, nobody can tell.
      isRevoked: ({ spiffeId, issuedAt = 0 }) =>
        this.#options.revocations?.find({ spiffeId, issuedAt, agentId: undefined }) !== undefined,
    };
  }

  close(): void {
    for (const unwatch of this.#unwatch) unwatch();
    clearImmediate(this.#scheduled);
    this.#cache.close();
  }

  async #fetchOne({ entry, hint }: Hinted, audience: readonly string[]): Promise<JwtIdentity> {
    const { token, spiffeId, expiresAt } = await this.#cache.get(entry, audience);
    return { entryId: entry.id, spiffeId, hint, token, expiresAt };
  }

  /**
   * The entries of the process as it is now, the oldest first. While none is meant and there may be
   * more elsewhere it waits.
   */
  async #entitled(
    process: P,
    isMeant: (entry: RegistrationEntry) => boolean,
    signal: AbortSignal,
  ): Promise<readonly RegistrationEntry[]> {
    for (;;) {
      const selectors = await this.#options.attest(process);
      this.#requireAlive(process);
      const { entitlements, clock } = this.#options;
      const now = clock.now();
      const entries = entitlements.match(selectors).filter((entry) => isCurrent(entry, now));
      if (entitlements.isComplete() || entries.some(isMeant)) return entries;
      await nextChange(entitlements, signal);
    }
  }

  #requireAlive(process: P): void {
    if (this.#options.isAlive(process)) return;
    throw new TrustplaneError('ERR_SVID_WORKLOAD_GONE', 'the process is gone');
  }

  /** What one turn of the event loop brings is handled together. */
  #sweepSoon(): void {
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      this.#cache.sweep((entryId) => this.#options.entitlements.get(entryId));
    });
  }
}

interface Hinted {
  readonly entry: RegistrationEntry;
  readonly hint: string;
}

/** The oldest entry keeps a hint, whatever is asked for, as in updates. */
function withUniqueHints(entries: readonly RegistrationEntry[]): Hinted[] {
  const hints = new Set<string>();
  return entries.map((entry) => {
    const hint = hints.has(entry.hint) ? '' : entry.hint;
    hints.add(hint);
    return { entry, hint };
  });
}

/** @throws TrustplaneError ERR_SVID_WORKLOAD_GONE when the question was taken back */
function nextChange(
  entitlements: Pick<EntitlementSource, 'watch'>,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      unwatch();
      signal.removeEventListener('abort', abort);
    };
    const abort = (): void => {
      stop();
      reject(new TrustplaneError('ERR_SVID_WORKLOAD_GONE', 'the caller has left'));
    };
    const unwatch = entitlements.watch(() => {
      stop();
      resolve();
    });
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}
