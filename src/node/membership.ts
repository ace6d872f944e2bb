import { type Bundle, messageOf, type SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { backoffMs } from './backoff.ts';
import { isBarred, isDoubtful, isLost, isPassing, isSuspension } from './call-error.ts';
import { ClockSkew } from './clock-skew.ts';
import { IdentitySource, type IdentitySourceOptions } from './identity-source.ts';
import { Nap } from './nap.ts';
import { isBelow, type NodeIdentity } from './node-identity.ts';
import type { NodeMetrics } from './node-metrics.ts';
import type { ServerAddress, ServerLink } from './server-link.ts';
import { ServerPool } from './server-pool.ts';

/** So that it is noticed when the clock has jumped, as after the machine has slept. */
const LONGEST_SLEEP_MS = 30_000;
/** After a refusal that only a person can change. */
const REFUSED_RETRY_MS = 60_000;
/** After one that administrators lift when they are done. */
const SUSPENDED_RETRY_MS = 5_000;
const SHORTEST_RETRY_MS = 100;
const JITTER = 0.1;
/** A server that gave out an SVID of a tainted authority may have another one by then. */
const TAINTED_RETRY_MS = 5_000;
/** Servers that do not answer are asked for the bundle, without an identity, no more often than this. */
const DOUBT_MS = 10_000;

export interface MembershipOptions extends Omit<IdentitySourceOptions, 'servers'> {
  /** At least one. */
  readonly servers: readonly ServerAddress[];
  readonly restored: NodeIdentity | undefined;
  /** A banned agent has nothing to give to anybody. */
  readonly onBanned: () => void;
  /** Each new identity, before it is used; rejects when it would be lost with the process. */
  readonly onIdentity: (identity: NodeIdentity) => Promise<void>;
  /** It is in use: calls are made with it from now on. */
  readonly onRenewed: () => void;
  readonly metrics: NodeMetrics;
}

/**
 * This host's place in the trust domain: gets the agent's SVID by attestation, renews it at half of
 * its life or when its authority is tainted, and attests anew when the servers say so. What cannot
 * be had is tried again: after 250 ms doubling to 10 s, or each minute where a server has refused.
 */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #source: IdentitySource;
  readonly #pool: ServerPool;
  readonly #skew: ClockSkew;
  readonly #joined = Promise.withResolvers<NodeIdentity>();
  readonly #unwatch: () => void;
  #identity: NodeIdentity | undefined;
  /** The next one, where it could not be kept yet. */
  #unsaved: NodeIdentity | undefined;
  /** Its last half of life begins, with jitter. */
  #renewAt = 0;
  #mustAttest = false;
  /** Servers take the identity for none of theirs. */
  #isLost = false;
  #fault: TrustplaneError | undefined;
  #failures = 0;
  readonly #nap: Nap;
  #servers: readonly ServerAddress[];
  #doubtedAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: MembershipOptions) {
    this.#options = options;
    const { facts, restored } = options;
    this.#servers = options.servers;
    this.#skew = new ClockSkew(options);
    this.#source = new IdentitySource({ ...options, servers: () => this.#servers });
    this.#nap = new Nap(options.clock);
    this.#pool = new ServerPool({
      ...options,
      identity: () => this.identity,
      trust: this.#source.trust,
      onCurrent(server) {
        options.metrics.server.reset();
        if (server !== undefined) options.metrics.server.set({ server }, 1);
      },
      onServerTime: (reading) => this.#skew.take(reading),
    });
    this.#unwatch = facts.watch(({ own }) => this.#onTrust(own));
    // Rejected only when nobody could do anything else about it.
    this.#joined.promise.catch(() => {});
    if (restored === undefined) return;
    this.#take(restored);
    // Servers are told by a bundle, which only another attestation brings back.
    this.#mustAttest = facts.current().own.x509Authorities.length === 0;
  }

  /** The agent's SVID while it is valid. */
  get identity(): NodeIdentity | undefined {
    const identity = this.#identity;
    return identity !== undefined && identity.expiresAt > this.#options.clock.now()
      ? identity
      : undefined;
  }

  /** The end of the last SVID, when it is over. */
  get lapsed(): { readonly agentId: SpiffeId; readonly at: number } | undefined {
    if (this.identity !== undefined || this.#identity === undefined) return undefined;
    return { agentId: this.#identity.agentId, at: this.#identity.expiresAt };
  }

  /** Resolves with the first identity. @throws TrustplaneError a refusal of the very first attestation, for good */
  get joined(): Promise<NodeIdentity> {
    return this.#joined.promise;
  }

  /** Why the identity is not renewed, while that is so. */
  get fault(): TrustplaneError | undefined {
    return this.#fault;
  }

  /** What is wrong with the clocks of this host and its server, if anything. */
  get clockFault(): string | undefined {
    return this.#skew.fault;
  }

  /** `host:port` of the server in use. */
  get server(): string | undefined {
    return this.#pool.current;
  }

  /** At least one; from now on. */
  setServers(servers: readonly ServerAddress[]): void {
    this.#servers = servers;
    this.#pool.setServers(servers);
    this.#nap.wake();
  }

  close(): void {
    this.#isClosed = true;
    this.#joined.reject(new TrustplaneError('ERR_NODE_NO_IDENTITY', 'this agent is stopping'));
    this.#unwatch();
    this.#nap.stop();
    this.#pool.close();
  }

  /**
   * Does work with a server as this agent.
   * @throws TrustplaneError ERR_NODE_NO_IDENTITY; what the work throws
   */
  async use<T>(work: (link: ServerLink) => Promise<T>): Promise<T> {
    const { identity } = this;
    if (identity === undefined || this.#isLost) {
      if (this.#failures === 0) this.#nap.wake();
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
        // A clock that jumped ahead, and back, left one behind.
        this.#failures = 0;
        this.#fault = undefined;
        await this.#nap.sleep(Math.min(wait, LONGEST_SLEEP_MS));
        continue;
      }
      try {
        await this.#advance();
        this.#failures = 0;
        this.#fault = undefined;
      } catch (error) {
        if (this.#isClosed) return;
        if (this.#fail(error)) return;
        await this.#nap.sleep(this.#retryDelayMs());
      }
    }
  }

  /** Gets the next identity. */
  async #advance(): Promise<void> {
    const { identity } = this;
    const isRenewal = identity !== undefined && !identity.canReattest && !this.#mustAttest;
    const kind = isRenewal ? 'renewal' : 'attestation';
    try {
      const next = this.#takeUnsaved() ?? (await this.#obtain(isRenewal ? identity : undefined));
      await this.#save(next, isRenewal ? identity : undefined);
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

  /** By renewal of the present one, where that can be. */
  async #obtain(present: NodeIdentity | undefined): Promise<NodeIdentity> {
    return present === undefined
      ? await this.#source.attest(this.#identity, this.identity === undefined)
      : await this.#pool.use((link) => this.#source.renew(link, present));
  }

  #takeUnsaved(): NodeIdentity | undefined {
    const unsaved = this.#unsaved;
    this.#unsaved = undefined;
    const isValid = unsaved !== undefined && unsaved.expiresAt > this.#options.clock.now();
    return isValid ? unsaved : undefined;
  }

  /**
   * The first use of the next SVID voids the present one, which is the one that outlives the process
   * while the next is not kept: its use is put off until a tenth of the present one's life is left.
   * @throws what saving fails with
   */
  async #save(next: NodeIdentity, present: NodeIdentity | undefined): Promise<void> {
    try {
      await this.#options.onIdentity(next);
    } catch (error) {
      const left = (present?.expiresAt ?? 0) - this.#options.clock.now();
      if (present === undefined || left <= (present.expiresAt - present.issuedAt) / 10) return;
      this.#unsaved = next;
      throw error;
    }
  }

  /**
   * Calls fail although servers may be there: one to which the agent's authority is unknown, since it was
   * revoked, closes the connection without a word, or refuses each call. The bundle it has now tells.
   */
  doubt(): void {
    const now = this.#options.clock.now();
    // A clock that was ahead, and is set back, silences no doubt.
    const isEarly = Math.abs(now - this.#doubtedAt) < DOUBT_MS;
    if (this.identity === undefined || isEarly || this.#isClosed) return;
    this.#doubtedAt = now;
    void this.#lookAgain();
  }

  async #lookAgain(): Promise<void> {
    const { facts, clock, log } = this.#options;
    try {
      const bundle = await this.#source.askBundle();
      const { identity } = this;
      if (identity !== undefined && !isBelow(identity, bundle, clock.now())) {
        facts.setOwnBundle(bundle);
      }
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
    if (isBarred(fault)) this.#forget();
    if (isDoubtful(fault)) this.doubt();
    if (this.#identity !== undefined || isPassing(fault)) return false;
    this.#joined.reject(fault);
    return true;
  }

  #forget(): void {
    const { onBanned, log } = this.#options;
    log.error(
      {},
      'this agent is banned or suspended: no workload is served until it is admitted again',
    );
    onBanned();
  }

  #retryDelayMs(): number {
    const { clock, random } = this.#options;
    if (this.#failures === 0) return 0;
    if (isSuspension(this.#fault)) return SUSPENDED_RETRY_MS * (1 + JITTER * random());
    if (!isPassing(this.#fault) && this.#unsaved === undefined)
      return REFUSED_RETRY_MS * (1 + JITTER * random());
    const backoff = backoffMs(this.#failures, random());
    const left = (this.identity?.expiresAt ?? Number.POSITIVE_INFINITY) - clock.now();
    if (backoff <= left / 4) return backoff;
    // Hurried attempts are no reason to wait longer afterwards.
    this.#failures = Math.max(1, this.#failures - 1);
    return Math.max(SHORTEST_RETRY_MS, left / 4);
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
    const { clock, facts } = this.#options;
    if (!this.#isSound(identity, facts.current().own)) {
      this.#renewAt = Math.min(this.#renewAt, clock.now() + TAINTED_RETRY_MS);
    }
    if (this.identity !== undefined) this.#joined.resolve(identity);
  }

  /** An authority that is tainted, or gone, takes the agent's own SVID with it. */
  #onTrust(own: Bundle): void {
    const identity = this.#identity;
    if (identity === undefined) return;
    if (this.#isSound(identity, own)) return;
    // No server takes it any more, not even to renew it.
    if (!isBelow(identity, own, this.#options.clock.now())) this.#mustAttest = true;
    this.#renewAt = 0;
    this.#nap.wake();
  }

  #isSound(identity: NodeIdentity, own: Bundle): boolean {
    const sound = own.x509Authorities.filter(({ tainted }) => !tainted);
    return isBelow(identity, { ...own, x509Authorities: sound }, this.#options.clock.now());
  }

  #lose(error: TrustplaneError): void {
    this.#options.log.warn(
      { code: error.code, error: error.message },
      'the agent has to attest again',
    );
    this.#mustAttest = true;
    this.#isLost = true;
    this.#fault = error;
    if (isBarred(error)) this.#forget();
    this.#nap.wake();
  }
}
