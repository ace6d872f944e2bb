import type { FactsSource } from '../facts/index.ts';
import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, messageOf, type Timer, TrustplaneError } from '../spiffe/index.ts';
import type { PolicySource } from './policy-source.ts';
import { type BuiltRbac, type PolicyMark, PooledRbac } from './pooled-rbac.ts';
import type {
  ExportedRbac,
  PlainTerms,
  RbacCompiler,
  RbacOrder,
  RbacTarget,
} from './rbac-export.ts';
import { createRbacMetrics } from './rbac-metrics.ts';
import type { RbacConfig } from './rbac-schema.ts';
import { blindTerms, type CallerTerms, rbacTerms } from './rbac-terms.ts';

export interface RbacPoolOptions {
  readonly config: RbacConfig;
  readonly callers: CallerTerms;
  readonly policies: PolicySource;
  readonly compiler: RbacCompiler;
  readonly facts: FactsSource;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

interface KnownTerms {
  /** The facts that they are of. */
  readonly of: object;
  readonly terms: PlainTerms;
  readonly text: string;
  /** Another one for other terms. */
  readonly number: number;
}

/** After a change so much may follow that is one with it; it is waited for before the next, not before the first. */
const SETTLE_MS = 20;
/** It is longer where compiling takes long: a thread then has as much time for others. */
const MAX_WAIT_MS = 2_000;
const MAX_MARKS = 16;
/** One is compiled while the other is on its way; policies that are new wait for no more. */
const AT_ONCE = 2;
/** All that one service is given. */
const MAX_SERVICE_BYTES = 128 * 1024 * 1024;

/** Has rules compiled for whoever wants them, each once, and again after each change of policies or facts. */
export class RbacPool {
  readonly #options: RbacPoolOptions;
  readonly #metrics;
  readonly #pool = new Map<string, PooledRbac>();
  readonly #stops: readonly (() => void)[];
  #timer: Timer | undefined;
  #making: Promise<void> | undefined;
  #isStale = false;
  #nextAt = 0;
  #terms: KnownTerms | undefined;
  #isClosed = false;

  constructor(options: RbacPoolOptions) {
    this.#options = options;
    this.#metrics = createRbacMetrics(options.metrics, () => this.#pool.values());
    const { policies, facts } = options;
    this.#stops = [policies.watch(() => this.#note()), facts.watch(() => this.#note())];
  }

  /** Policies that are to be in force. */
  wanted(): PolicyMark | undefined {
    const { policies } = this.#options;
    const digest = policies.current()?.digest;
    return digest === undefined ? undefined : { digest, hash: policies.version?.() };
  }

  /** Calls back after each change of what is made of it, never at once; `release` when it is not wanted any more. */
  acquire(target: RbacTarget, listener: () => void): PooledRbac {
    const key = keyOf(target);
    let pooled = this.#pool.get(key);
    if (pooled === undefined) this.#pool.set(key, (pooled = new PooledRbac(target)));
    pooled.listeners.add(listener);
    if (pooled.built === undefined) this.#note();
    return pooled;
  }

  release(pooled: PooledRbac, listener: () => void): void {
    pooled.listeners.delete(listener);
    if (pooled.listeners.size === 0) this.#pool.delete(keyOf(pooled.target));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const stop of this.#stops) stop();
    this.#timer?.cancel();
    await this.#making;
  }

  /** The first change is taken up at once; those that follow wait, but are not put off. */
  #note(): void {
    this.#isStale = true;
    if (this.#isClosed || this.#timer !== undefined || this.#making !== undefined) return;
    const { clock } = this.#options;
    // A clock may be set back.
    const waitMs = Math.min(Math.max(0, this.#nextAt - clock.now()), MAX_WAIT_MS);
    this.#timer = clock.setTimer(waitMs, () => {
      this.#timer = undefined;
      this.#making = this.#makeAll().finally(() => {
        this.#making = undefined;
        if (this.#isStale) this.#note();
      });
    });
  }

  /** Never rejects. */
  async #makeAll(): Promise<void> {
    this.#isStale = false;
    const { clock } = this.#options;
    const startedAt = clock.now();
    const queue = inTurns(this.#pool.values()).values();
    const work = async (): Promise<void> => {
      for (const pooled of queue) await this.#make(pooled);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    const tookMs = Math.max(0, clock.now() - startedAt);
    this.#nextAt = clock.now() + Math.max(SETTLE_MS, tookMs);
  }

  async #make(pooled: PooledRbac): Promise<void> {
    const mark = this.wanted();
    const known = this.#knownTerms();
    // Who has not been told everything allows nothing: the Envoy keeps what it has.
    if (mark === undefined || known === undefined || pooled.listeners.size === 0) return;
    const madeOf = `${mark.digest} ${mark.hash} ${known.number}`;
    if (pooled.madeOf === madeOf) return;
    pooled.madeOf = madeOf;
    const { config } = this.#options;
    const { perRuleStats } = config;
    const order = { ...pooled.target, digest: mark.digest, terms: known.terms, perRuleStats };
    try {
      this.#checkRoom(pooled);
      this.#take(pooled, mark, await this.#export(order), order);
    } catch (error) {
      await this.#refuse(pooled, mark, order, error);
    }
    if (!this.#isClosed) for (const listener of pooled.listeners) listener();
  }

  /** @throws TrustplaneError ERR_RBAC_LIMIT */
  #checkRoom(pooled: PooledRbac): void {
    const { spiffeId } = pooled.target.service;
    let bytes = 0;
    for (const other of this.#pool.values())
      if (other !== pooled && other.target.service.spiffeId === spiffeId)
        bytes += other.built?.config.bytes.length ?? 0;
    if (bytes < MAX_SERVICE_BYTES) return;
    throw new TrustplaneError(
      'ERR_RBAC_LIMIT',
      `the Envoys of ${spiffeId} are given ${bytes} bytes of rules under other names; at most ${MAX_SERVICE_BYTES} are kept: have them name fewer policies`,
    );
  }

  async #export(order: RbacOrder): Promise<ExportedRbac> {
    const { compiler, clock } = this.#options;
    const startedAt = clock.now();
    let result: 'ok' | 'refused' = 'refused';
    try {
      const exported = await compiler.exportRbac(order);
      result = 'ok';
      return exported;
    } finally {
      this.#metrics.exported(result, clock.now() - startedAt);
    }
  }

  #take(pooled: PooledRbac, mark: PolicyMark, exported: ExportedRbac, order: RbacOrder): void {
    const { version, bytes } = exported;
    const { built, target } = pooled;
    const isSame = built?.config.version === version;
    const { ttlMs } = this.#options.config;
    const config = isSame ? built.config : { name: target.name, version, bytes, ttlMs };
    pooled.built = { ...mark, order, exported, config };
    pooled.fault = undefined;
    pooled.isUnlucky = false;
    pooled.marks.delete(version);
    pooled.marks.set(version, mark);
    for (const oldest of pooled.marks.keys()) {
      if (pooled.marks.size <= MAX_MARKS) break;
      pooled.marks.delete(oldest);
    }
    if (!isSame) this.#log(pooled, exported);
  }

  #log(pooled: PooledRbac, { version, bytes, shares, left }: ExportedRbac): void {
    const { log } = this.#options;
    const { name, service, kind } = pooled.target;
    const said = { name, service: service.spiffeId };
    log.debug({ ...said, version, bytes: bytes.length, ...shares }, 'rules are ready for Envoy');
    const isMissing = shares.envoy + shares.both + shares.check === 0;
    const told = isMissing ? 'nothing' : left.join();
    const isNew = pooled.left !== told;
    pooled.left = told;
    if (!isNew) return;
    if (isMissing) return log.warn(said, 'an Envoy denies everybody: no rule is for its service');
    if (kind === 'rbac-before-check' || left.length === 0) return;
    log.warn(
      { ...said, count: shares.check, rules: left },
      'some rules allow nobody, since Envoy cannot decide by them and asks nobody else',
    );
  }

  /** The last one stays, but for whom to trust and who was revoked. */
  async #refuse(
    pooled: PooledRbac,
    mark: PolicyMark,
    order: RbacOrder,
    error: unknown,
  ): Promise<void> {
    if (this.#isClosed) return;
    const isThread = error instanceof TrustplaneError && error.code === 'ERR_INTERNAL';
    if (isThread && !pooled.isUnlucky) {
      pooled.isUnlucky = true;
      pooled.madeOf = undefined;
      this.#isStale = true;
      return;
    }
    const fault = messageOf(error);
    const { name, service } = pooled.target;
    const said = { name, service: service.spiffeId, digest: mark.digest, fault };
    if (pooled.fault !== fault) this.#options.log.error(said, 'rules cannot be compiled for Envoy');
    const { built } = pooled;
    if (built !== undefined && built.order.terms !== order.terms)
      await this.#keepTerms(pooled, built, order.terms);
    pooled.fault = fault;
  }

  /** The last policies by the terms of now; where that is too much too, nobody is allowed. */
  async #keepTerms(pooled: PooledRbac, built: BuiltRbac, terms: PlainTerms): Promise<void> {
    const isOther = pooled.madeOf?.startsWith(built.digest) === false;
    for (const those of isOther ? [terms, blindTerms(terms)] : [blindTerms(terms)]) {
      const order = { ...built.order, terms: those };
      const exported = await this.#export(order).catch(messageOf);
      if (typeof exported !== 'string') return this.#take(pooled, built, exported, order);
      this.#options.log.error({ fault: exported }, 'rules cannot be compiled for Envoy anew');
    }
  }

  /** Those of the facts that are known now; the same object until they say something else. */
  #knownTerms(): KnownTerms | undefined {
    const { facts, callers } = this.#options;
    const of = facts.current();
    const last = this.#terms;
    if (of === undefined || last?.of === of) return of && last;
    const terms = rbacTerms(of, callers);
    const text = JSON.stringify(terms);
    const isSame = last?.text === text;
    const number = (last?.number ?? 0) + 1;
    return (this.#terms = isSame ? { ...last, of } : { of, terms, text, number });
  }
}

/** Every service's first before any service's second, so that one with many holds up nobody else. */
function inTurns(pool: Iterable<PooledRbac>): readonly PooledRbac[] {
  const counts = new Map<string, number>();
  const placed = [...pool].map((pooled) => {
    const { spiffeId } = pooled.target.service;
    const turn = counts.get(spiffeId) ?? 0;
    counts.set(spiffeId, turn + 1);
    return { pooled, turn };
  });
  return placed.sort((a, b) => a.turn - b.turn).map(({ pooled }) => pooled);
}

function keyOf({ name, service, layout }: RbacTarget): string {
  return `${layout} ${service.spiffeId} ${name}`;
}
