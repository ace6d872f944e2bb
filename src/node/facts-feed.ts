import type { Log, Tracing } from '../ops/index.ts';
import {
  type AgentFacts,
  type Clock,
  messageOf,
  type PolicyTaker,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type Position, SyncReplica } from '../sync/index.ts';
import { backoffMs } from './backoff.ts';
import { isDoubtful } from './call-error.ts';
import { fetchFacts } from './fetch-facts.ts';
import type { Membership } from './membership.ts';
import { Nap } from './nap.ts';
import type { NodeFacts } from './node-facts.ts';
import type { NodeMetrics } from './node-metrics.ts';
import { type Confirmation, type ReportedWorkloads, SyncFollower } from './sync-follower.ts';

const POLL_MS = 5_000;
const JITTER = 0.1;
/** How often a server that does not tell by itself is asked whether it does now. */
const PUSH_RETRY_MS = 600_000;

export interface FactsFeedOptions {
  readonly trustDomain: TrustDomain;
  readonly agentVersion: string;
  /** The servers are to tell of the policies. */
  readonly takesPolicies?: (() => boolean) | undefined;
  /** They are to tell of CRLs. Default: they are not. */
  readonly takesCrls?: boolean | undefined;
  readonly membership: Membership;
  readonly facts: NodeFacts;
  readonly restored: { readonly facts: AgentFacts; readonly position: Position } | undefined;
  /** After each change; `position`: where the facts stand, when they were pushed. */
  readonly onFacts: (facts: AgentFacts, position: Position | undefined) => void;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: NodeMetrics;
  /** Default: nothing is traced. */
  readonly tracing?: Pick<Tracing, 'note'> | undefined;
}

/** Keeps what this host may know up to date: a server tells what changes, or is asked every 5 s where it does not. */
export class FactsFeed {
  readonly #options: FactsFeedOptions;
  readonly #follower: SyncFollower;
  readonly #first = Promise.withResolvers<void>();
  readonly #asked = Promise.withResolvers<void>();
  #pushAgainAt = 0;
  /** A server that is asked knows the agent's version. */
  #hasPosted = false;
  #isTold = false;
  #failures = 0;
  #fault: TrustplaneError | undefined;
  #updatedAt: number | undefined;
  readonly #nap: Nap;
  #isClosed = false;

  constructor(options: FactsFeedOptions) {
    this.#options = options;
    this.#nap = new Nap(options.clock);
    this.#follower = new SyncFollower({
      clock: options.clock,
      replica: new SyncReplica(options),
      onFacts: (facts, position) => this.#take(facts, position),
      tracing: options.tracing,
    });
  }

  /** Resolves when a server has told everything once. */
  get synced(): Promise<void> {
    return this.#first.promise;
  }

  /** Resolves when a server has told everything, or none could be asked, for the first time. */
  get asked(): Promise<void> {
    return this.#asked.promise;
  }

  /** A server tells what changes. */
  get isTold(): boolean {
    return this.#isTold;
  }

  /** Why nothing comes, while that is so. */
  get fault(): TrustplaneError | undefined {
    return this.#fault;
  }

  /** When a server last told something, or that nothing changed; milliseconds since the epoch. */
  get updatedAt(): number | undefined {
    return this.#updatedAt;
  }

  async run(): Promise<void> {
    const { membership, clock } = this.#options;
    await membership.joined.catch(() => this.close());
    while (!this.#isClosed) {
      const isPush = clock.now() >= this.#pushAgainAt;
      try {
        if (isPush) await membership.use((link) => this.#follower.follow(link));
        else await this.#poll();
      } catch (error) {
        if (!this.#isClosed) this.#fail(error);
      }
      this.#setTold(false);
      await this.#nap.sleep(this.#delayMs(isPush));
    }
  }

  /** The agent has another identity, or other servers: what follows is with these. */
  renew(): void {
    this.#hasPosted = false;
    this.#follower.leave();
    this.#nap.wake();
  }

  sayWorkloads(workloads: ReportedWorkloads): void {
    this.#follower.sayWorkloads(workloads);
  }

  confirm(confirmation: Confirmation): void {
    this.#follower.confirm(confirmation);
  }

  sayTakers(takers: readonly PolicyTaker[]): void {
    this.#follower.sayTakers(takers);
  }

  close(): void {
    this.#isClosed = true;
    this.#follower.leave();
    this.#nap.stop();
  }

  async #poll(): Promise<void> {
    const { membership, facts } = this.#options;
    const next = await membership.use((link) => fetchFacts(link, facts.facts, this.#options));
    this.#take(next, undefined);
    if (!this.#hasPosted) await this.#postStatus();
  }

  /** As SPIRE's agents do; a server that does not take it loses nothing. */
  async #postStatus(): Promise<void> {
    this.#hasPosted = true;
    const { membership, agentVersion } = this.#options;
    const status = { agent_version: agentVersion };
    await membership.use((link) => link.call('Agent.PostStatus', status)).catch(() => {});
  }

  #take(next: AgentFacts, position: Position | undefined): void {
    if (this.#isClosed) return;
    const { facts, onFacts, metrics, clock } = this.#options;
    facts.set(next);
    onFacts(facts.facts, position);
    this.#failures = 0;
    this.#fault = undefined;
    metrics.updates.inc({ result: 'ok' });
    this.#updatedAt = clock.now();
    metrics.updatedAt.set(this.#updatedAt / 1_000);
    this.#setTold(position !== undefined);
    this.#first.resolve();
    this.#asked.resolve();
  }

  #setTold(isTold: boolean): void {
    this.#isTold = isTold;
    this.#options.metrics.pushed.set(isTold ? 1 : 0);
  }

  #fail(error: unknown): void {
    const { log, metrics, clock } = this.#options;
    const fault = asError(error);
    if (fault.category === 'unimplemented') {
      log.info({}, 'the server does not tell what changes; it is asked every 5 s');
      this.#pushAgainAt = clock.now() + PUSH_RETRY_MS;
      return;
    }
    this.#failures++;
    this.#fault = fault;
    this.#asked.resolve();
    if (isDoubtful(fault)) this.#options.membership.doubt();
    metrics.updates.inc({ result: 'failed' });
    log.warn({ code: fault.code, error: fault.message }, 'nothing new from the servers');
  }

  #delayMs(wasPush: boolean): number {
    const { random } = this.#options;
    if (this.#failures > 0) {
      return backoffMs(this.#failures, random());
    }
    return wasPush ? 0 : POLL_MS * (1 - JITTER + 2 * JITTER * random());
  }
}

function asError(error: unknown): TrustplaneError {
  if (error instanceof TrustplaneError) return error;
  return new TrustplaneError('ERR_INTERNAL', messageOf(error), { cause: error });
}
