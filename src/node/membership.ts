import type { Log } from '../ops/index.ts';
import {
  type Bundle,
  type Clock,
  type ErrorCode,
  generateP256KeyPair,
  messageOf,
  parseX509Svid,
  SpiffeId,
  type Timer,
  type TrustDomain,
  TrustplaneError,
  verifyX509Svid,
} from '../spiffe/index.ts';
import type { ServerTrust } from '../wire/index.ts';
import { attestNode, beginAttestation, type NodeAttestation, renewNode } from './attest-node.ts';
import { backoffMs } from './backoff.ts';
import { type Bootstrap, fetchBootstrapBundle } from './bootstrap.ts';
import { isUnavailable } from './call-error.ts';
import { fetchOwnBundle } from './fetch-facts.ts';
import type { NodeFacts } from './node-facts.ts';
import { acceptIdentity, type NodeIdentity } from './node-identity.ts';
import type { NodeMetrics } from './node-metrics.ts';
import type { ServerAddress, ServerLink } from './server-link.ts';
import { ServerPool } from './server-pool.ts';

/** Timers hold no longer than this. */
const LONGEST_SLEEP_MS = 86_400_000;
/** After a refusal that only a person can change. */
const REFUSED_RETRY_MS = 60_000;
const JITTER = 0.1;
/** Servers that do not answer are asked for the bundle, without an identity, no more often than this. */
const DOUBT_MS = 10_000;

/** What only another attestation can mend. */
const LOST: ReadonlySet<ErrorCode> = new Set([
  'ERR_AGENT_EXPIRED',
  'ERR_AGENT_NOT_ATTESTED',
  'ERR_AGENT_NOT_ACTIVE',
  'ERR_AGENT_MUST_REATTEST',
]);

export interface MembershipOptions {
  readonly trustDomain: TrustDomain;
  /** At least one. */
  readonly servers: readonly ServerAddress[];
  readonly bootstrap: Bootstrap | undefined;
  /** Undefined: the agent lives on what it was restored with. */
  readonly attestation: NodeAttestation | undefined;
  /** How this node proves that an SVID that has expired was its own. */
  readonly lastKey?: (identity: NodeIdentity) => NodeAttestation;
  readonly facts: NodeFacts;
  readonly restored: NodeIdentity | undefined;
  /** A banned agent has nothing to give to anybody. */
  readonly onBanned: () => void;
  /** Each new identity, before it is used. */
  readonly onIdentity: (identity: NodeIdentity) => Promise<void>;
  /** It is in use: calls are made with it from now on. */
  readonly onRenewed: () => void;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: NodeMetrics;
}

/**
 * This host's place in the trust domain: gets the agent's SVID by attestation, renews it at half of
 * its life or when its authority is tainted, and attests anew when the servers say so. What cannot
 * be had is tried again: after 250 ms doubling to 30 s, or each minute where a server has refused.
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #serverId: SpiffeId;
  readonly #pool: ServerPool;
  readonly #joined = Promise.withResolvers<NodeIdentity>();
  readonly #unwatch: () => void;
  #identity: NodeIdentity | undefined;
  /** Its last half of life begins, with jitter. */
  #renewAt = 0;
  #mustAttest = false;
  /** Servers take the identity for none of theirs. */
  #isLost = false;
  #fault: TrustplaneError | undefined;
  #failures = 0;
  #sleep: { readonly timer: Timer; readonly wake: () => void } | undefined;
  #doubtAgainAt = 0;
  #isClosed = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    const { trustDomain, facts, restored } = options;
    this.#serverId = SpiffeId.of(trustDomain, '/spire/server');
    this.#pool = new ServerPool({
      ...options,
      identity: () => this.identity,
      trust: { serverId: this.#serverId, bundle: () => facts.current().own },
      onCurrent(server) {
        options.metrics.server.reset();
        if (server !== undefined) options.metrics.server.set({ server }, 1);
      },
    });
    this.#unwatch = facts.watch(({ own }) => this.#onTrust(own));
    // Rejected only when nobody could do anything else about it.
    this.#joined.promise.catch(() => {});
    if (restored !== undefined) this.#take(restored);
  }

  /** The agent's SVID while it is valid. */
  get identity(): NodeIdentity | undefined {
    const identity = this.#identity;
    return identity !== undefined && identity.expiresAt > this.#options.clock.now()
      ? identity
      : undefined;
  }

  /** Resolves with the first identity. @throws TrustplaneError a refusal of the very first attestation, for good */
  get joined(): Promise<NodeIdentity> {
    return this.#joined.promise;
  }

  /** Why the identity is not renewed, while that is so. */
  get fault(): TrustplaneError | undefined {
    return this.#fault;
  }

  /** `host:port` of the server in use. */
  get server(): string | undefined {
    return this.#pool.current;
  }

  close(): void {
    this.#isClosed = true;
    this.#joined.reject(new TrustplaneError('ERR_NODE_NO_IDENTITY', 'this agent is stopping'));
    this.#unwatch();
    this.#wake();
    this.#pool.close();
  }

  /**
   * Does work with a server as this agent.
   * @throws TrustplaneError ERR_NODE_NO_IDENTITY; what the work throws
   */
  async use<T>(work: (link: ServerLink) => Promise<T>): Promise<T> {
    const { identity } = this;
    if (identity === undefined || this.#isLost) {
      const why = this.#fault === undefined ? '' : `: ${this.#fault.message}`;
      throw new TrustplaneError('ERR_NODE_NO_IDENTITY', `this agent has no good SVID now${why}`);
    }
    try {
      return await this.#pool.use(work);
    } catch (error) {
      if (!isLost(error)) throw error;
      if (this.identity === identity) {
        this.#lose(error);
        throw error;
      }
      return await this.#pool.use(work);
    }
  }

  /** Until `close`, or until a server has refused it at the very beginning. */
  async run(): Promise<void> {
    while (!this.#isClosed) {
      const wait = this.#renewAt - this.#options.clock.now();
      if (this.identity !== undefined && !this.#mustAttest && wait > 0) {
        await this.#pause(wait);
        continue;
      }
      try {
        await this.#advance();
        this.#failures = 0;
        this.#fault = undefined;
      } catch (error) {
        if (this.#isClosed) return;
        if (this.#fail(error)) return;
        await this.#pause(this.#retryDelayMs());
      }
    }
  }

  /** Gets the next identity. */
  async #advance(): Promise<void> {
    const { identity } = this;
    const isRenewal = identity !== undefined && !identity.canReattest && !this.#mustAttest;
    const kind = isRenewal ? 'renewal' : 'attestation';
    try {
      const next = isRenewal ? await this.#renew(identity) : await this.#attest();
      await this.#options.onIdentity(next);
      this.#take(next);
      this.#options.onRenewed();
      this.#options.metrics.attempts.inc({ kind, result: 'ok' });
      const { agentId, expiresAt } = next;
      this.#options.log.info(
        { agentId: agentId.toString(), expiresAt: new Date(expiresAt).toISOString() },
        isRenewal ? 'agent renewed' : 'agent attested',
      );
    } catch (error) {
      this.#options.metrics.attempts.inc({ kind, result: 'failed' });
      throw error;
    }
  }

  /**
   * Calls fail although servers may be there: one to which the agent's authority is unknown, since it was
   * revoked, closes the connection without a word. The bundle it has now tells.
   */
  doubt(): void {
    const now = this.#options.clock.now();
    if (this.identity === undefined || now < this.#doubtAgainAt || this.#isClosed) return;
    this.#doubtAgainAt = now + DOUBT_MS;
    void this.#lookAgain();
  }

  async #lookAgain(): Promise<void> {
    const { facts, trustDomain, log } = this.#options;
    const trust = { serverId: this.#serverId, bundle: () => facts.current().own };
    try {
      facts.setOwnBundle(
        await this.#withAnyServer(trust, (link) => fetchOwnBundle(link, trustDomain)),
      );
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'no server tells the bundle');
    }
  }

  /** True when there is no use in going on. */
  #fail(error: unknown): boolean {
    const { log } = this.#options;
    const fault =
      error instanceof TrustplaneError
        ? error
        : new TrustplaneError('ERR_INTERNAL', messageOf(error), { cause: error });
    this.#failures++;
    this.#fault = fault;
    log.warn({ code: fault.code, error: fault.message }, 'the agent has no new SVID yet');
    if (isLost(fault) && !this.#mustAttest) {
      this.#mustAttest = true;
      this.#failures = 0;
    }
    if (isBan(fault)) this.#forget();
    if (isUnavailable(fault)) this.doubt();
    if (this.#identity !== undefined || isUnavailable(fault)) return false;
    this.#joined.reject(fault);
    return true;
  }

  #forget(): void {
    const { onBanned, log } = this.#options;
    log.error({}, 'this agent is banned: no workload is served until it is admitted again');
    onBanned();
  }

  #retryDelayMs(): number {
    const { clock, random } = this.#options;
    if (this.#failures === 0) return 0;
    if (!isUnavailable(this.#fault)) return REFUSED_RETRY_MS * (1 + JITTER * random());
    const left = (this.identity?.expiresAt ?? Number.POSITIVE_INFINITY) - clock.now();
    return Math.max(100, Math.min(backoffMs(this.#failures, random()), left / 4));
  }

  async #renew({ agentId }: NodeIdentity): Promise<NodeIdentity> {
    const { trustDomain, facts, clock } = this.#options;
    const keys = generateP256KeyPair();
    return await this.#pool.use(async (link) => {
      const svid = await renewNode(link, agentId, keys);
      const context = { trustDomain, keys, now: clock.now(), canReattest: false };
      return await this.#accept(
        link,
        (bundle) => acceptIdentity(svid, { ...context, bundle }),
        facts.current().own,
      );
    });
  }

  /** Below the bundle that is known, else the one the server has now. */
  async #accept(
    link: ServerLink,
    accept: (bundle: Bundle) => NodeIdentity,
    known: Bundle,
  ): Promise<NodeIdentity> {
    const { facts, trustDomain } = this.#options;
    try {
      const identity = accept(known);
      facts.setOwnBundle(known);
      return identity;
    } catch {
      const bundle = await fetchOwnBundle(link, trustDomain);
      const identity = accept(bundle);
      facts.setOwnBundle(bundle);
      return identity;
    }
  }

  /** Servers are judged by the bundle that is known; when there is none, or no server fits it any more, by the configured one. */
  async #attest(): Promise<NodeIdentity> {
    const { facts, trustDomain, bootstrap, log } = this.#options;
    const { own } = facts.current();
    if (own.x509Authorities.length > 0) {
      try {
        return await this.#attestBelow(own);
      } catch (error) {
        if (this.identity !== undefined || !isUntrusted(error) || bootstrap === undefined)
          throw error;
        log.warn({ error: messageOf(error) }, 'no server is trusted any more; bootstrapping again');
      }
    }
    if (bootstrap === undefined) {
      const message =
        'there is nothing to trust a server by: set agent.bootstrap, or --bundle-file';
      throw new TrustplaneError('ERR_NODE_BOOTSTRAP', message);
    }
    const bundle = await fetchBootstrapBundle(bootstrap, trustDomain);
    return await this.#attestBelow(bundle ?? (await this.#believe()));
  }

  /** The bundle of whoever answers. */
  async #believe(): Promise<Bundle> {
    const { log, trustDomain } = this.#options;
    log.warn({}, 'INSECURE: believing the first server that answers, whoever that is');
    return await this.#withAnyServer({ onUnverified: () => {} }, (link) =>
      fetchOwnBundle(link, trustDomain),
    );
  }

  async #attestBelow(bundle: Bundle): Promise<NodeIdentity> {
    const { attestation, lastKey, log } = this.#options;
    const identity = this.#identity;
    if (identity !== undefined && !identity.canReattest && lastKey !== undefined) {
      try {
        return await this.#attestBy(lastKey(identity), bundle);
      } catch (error) {
        if (isUnavailable(error) || isUntrusted(error) || isBan(error)) throw error;
        log.warn({ error: messageOf(error) }, 'the last key is not enough to come back');
      }
    }
    if (attestation === undefined) {
      const message =
        'this agent has nothing to prove itself with: set agent.nodeAttestation, or --join-token';
      throw new TrustplaneError('ERR_NODE_ATTESTATION', message);
    }
    return await this.#attestBy(attestation, bundle);
  }

  async #attestBy(attestation: NodeAttestation, bundle: Bundle): Promise<NodeIdentity> {
    const { trustDomain, clock } = this.#options;
    const evidence = await beginAttestation(attestation);
    const trust = { serverId: this.#serverId, bundle: () => bundle };
    return await this.#withAnyServer(trust, async (link) => {
      // Before anything is spent.
      const own = await fetchOwnBundle(link, trustDomain);
      const keys = generateP256KeyPair();
      const { svid, canReattest } = await attestNode(link, evidence, keys, clock);
      const context = { trustDomain, keys, now: clock.now(), canReattest };
      return await this.#accept(
        link,
        (below) => acceptIdentity(svid, { ...context, bundle: below }),
        own,
      );
    });
  }

  /** Without an identity, over connections of its own. */
  async #withAnyServer<T>(trust: ServerTrust, work: (link: ServerLink) => Promise<T>): Promise<T> {
    const pool = new ServerPool({ ...this.#options, identity: () => undefined, trust });
    try {
      return await pool.use(work);
    } finally {
      pool.close();
    }
  }

  #take(identity: NodeIdentity): void {
    const { random, metrics } = this.#options;
    const { issuedAt, expiresAt } = identity;
    this.#identity = identity;
    this.#mustAttest = false;
    this.#isLost = false;
    const half = (expiresAt - issuedAt) / 2;
    this.#renewAt = issuedAt + half * (1 - JITTER + 2 * JITTER * random());
    metrics.expiresAt.set(expiresAt / 1_000);
    if (this.identity !== undefined) this.#joined.resolve(identity);
  }

  /** An authority that is tainted, or gone, takes the agent's own SVID with it. */
  #onTrust(own: Bundle): void {
    const identity = this.#identity;
    if (identity === undefined) return;
    const sound = own.x509Authorities.filter(({ tainted }) => !tainted);
    const now = this.#options.clock.now();
    if (isBelow(identity, { ...own, x509Authorities: sound }, now)) return;
    // No server takes it any more, not even to renew it.
    if (!isBelow(identity, own, now)) this.#mustAttest = true;
    this.#renewAt = 0;
    this.#wake();
  }

  #lose(error: TrustplaneError): void {
    this.#options.log.warn(
      { code: error.code, error: error.message },
      'the agent has to attest again',
    );
    this.#mustAttest = true;
    this.#isLost = true;
    this.#fault = error;
    if (isBan(error)) this.#forget();
    this.#wake();
  }

  async #pause(ms: number): Promise<void> {
    if (this.#isClosed || ms <= 0) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#sleep?.timer.cancel();
        this.#sleep = undefined;
        resolve();
      };
      const timer = this.#options.clock.setTimer(Math.min(ms, LONGEST_SLEEP_MS), wake);
      this.#sleep = { timer, wake };
    });
  }

  #wake(): void {
    this.#sleep?.wake();
  }
}

function isBelow({ certificateChain }: NodeIdentity, bundle: Bundle, now: number): boolean {
  try {
    verifyX509Svid(parseX509Svid(certificateChain), bundle, now);
    return true;
  } catch {
    return false;
  }
}

function isLost(error: unknown): error is TrustplaneError {
  return error instanceof TrustplaneError && (LOST.has(error.code) || isBan(error));
}

function isBan(error: unknown): boolean {
  return error instanceof TrustplaneError && error.code === 'ERR_AGENT_BANNED';
}

function isUntrusted(error: unknown): boolean {
  return error instanceof TrustplaneError && error.code === 'ERR_NODE_SERVER';
}
