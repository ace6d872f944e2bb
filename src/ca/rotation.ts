import type { Log } from '../ops/index.ts';
import { type Clock, messageOf, type Timer, TrustplaneError } from '../spiffe/index.ts';
import { type Authority, type AuthorityKind, kindNames } from './authority.ts';
import type { AuthorityPublisher } from './authority-publisher.ts';
import type { AuthoritySlots } from './authority-slots.ts';
import {
  checkActivate,
  checkGate,
  checkPrepare,
  checkRevoke,
  checkTaint,
  type ForcedSteps,
  requireAuthority,
} from './forced-steps.ts';
import type { Gate, GateState, Laggard } from './gate.ts';
import { nextStep, type RotationStep } from './slots.ts';

/** Longest sleep, so that a clock that jumped ahead or a machine that slept is noticed. */
const MAX_WAIT_MS = 60_000;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 10_000;

export interface RotationFailure {
  /** In a row. */
  readonly count: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly error: Error;
}

/** An authority that signs although not everybody knew it. */
export interface RotationAlarm {
  readonly authorityId: string;
  /** When it became active, milliseconds since the epoch. */
  readonly at: number;
  /** Who did not know it then. */
  readonly behind: readonly Laggard[];
}

export interface RotationParts<A extends Authority> {
  readonly kind: AuthorityKind;
  readonly slots: AuthoritySlots<A>;
  readonly publisher: Pick<AuthorityPublisher<A>, 'find' | 'isRefused'>;
  /** Without one, only time decides. */
  readonly gate: Gate<A> | undefined;
  /** Other servers sign for the trust domain now. */
  readonly othersSign: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
  onFailure(failure: RotationFailure): void;
  onAlarm(alarm: RotationAlarm): void;
}

/** Performs what `nextStep` decides and what an operator forces, one step at a time. */
export class Rotation<A extends Authority> implements ForcedSteps<A> {
  readonly #parts: RotationParts<A>;
  #stopWatching: () => void = () => {};
  #isLoaded = false;
  #failure: RotationFailure | undefined;
  #alarm: RotationAlarm | undefined;
  #timer: Timer | undefined;
  /** Resolves when what is under way and what waits behind it is done; never rejects. */
  #work: Promise<void> = Promise.resolve();
  #isPoked = false;
  #isClosed = false;

  constructor(parts: RotationParts<A>) {
    this.#parts = parts;
  }

  /** Undefined while the last attempt went well. */
  get failure(): RotationFailure | undefined {
    return this.#failure;
  }

  /** Undefined once everybody knows the authority. */
  get alarm(): RotationAlarm | undefined {
    const alarmed = this.#alarm && this.#parts.slots.find(this.#alarm.authorityId);
    return alarmed === undefined || this.gateOf(alarmed).isOpen ? undefined : this.#alarm;
  }

  get step(): RotationStep<A> {
    const { clock, publisher, slots } = this.#parts;
    return nextStep(
      slots.authorities,
      {
        isPublished: (authority) => publisher.find(authority) !== undefined,
        isRefused: (authority) => publisher.isRefused(authority),
        knownAt: (prepared) => this.#knownAt(prepared),
        othersSign: this.#parts.othersSign(),
      },
      clock.now(),
    );
  }

  /** Who has to know the authority and doesn't. Without a gate nobody is asked. */
  gateOf(authority: A): GateState {
    return this.#parts.gate?.check(authority) ?? { isOpen: true, behind: [] };
  }

  /**
   * Takes up what is durable and does what is due. What fails after the take-up is retried, as
   * always; see `failure`.
   * @throws TrustplaneError ERR_CA_JOURNAL, ERR_CA_KEY_MISSING, ERR_STORE_UNAVAILABLE
   */
  async start(): Promise<void> {
    await this.#load();
    const { gate } = this.#parts;
    if (gate !== undefined) this.#stopWatching = gate.watch(() => this.pokeUnlessFailing());
    this.poke();
    await this.#work;
  }

  /** Looks again soon; never throws. */
  poke(): void {
    if (this.#isClosed || this.#isPoked) return;
    this.#isPoked = true;
    void this.#enqueue(async () => {
      this.#isPoked = false;
      await this.#advanceOrFail();
    });
  }

  /** Does what is due; resolves when that is done, or has failed. */
  async settle(): Promise<void> {
    this.poke();
    await this.#work;
  }

  /** Like `poke`, but a rotation that fails keeps to its pauses. */
  pokeUnlessFailing(): void {
    if (this.#failure === undefined) this.poke();
  }

  prepare(): Promise<A> {
    return this.#force(async () => {
      const { clock, slots } = this.#parts;
      checkPrepare(slots.authorities);
      const replaced = slots.authorities.find(({ state }) => state === 'prepared');
      if (replaced !== undefined) await slots.remove(replaced, 'prune');
      const authority = await slots.prepare(clock.now());
      await slots.publish(authority);
      return authority;
    });
  }

  activate(authorityId: string, options: { readonly force?: boolean } = {}): Promise<A> {
    return this.#force(async () => {
      const authority = this.#require(authorityId);
      if (authority.state === 'active') return authority;
      checkActivate(authority, this.#parts.clock.now());
      if (this.#parts.publisher.find(authority) === undefined) {
        await this.#parts.slots.publish(authority);
      }
      if (options.force !== true) checkGate(authority, this.gateOf(authority));
      await this.#activate(authority);
      return this.#require(authorityId);
    });
  }

  taint(authorityId: string): Promise<A> {
    return this.#force(async () => {
      const authority = this.#require(authorityId);
      checkTaint(authority);
      if (this.#parts.publisher.find(authority)?.isTainted !== true) {
        await this.#parts.slots.taint(authority);
      }
      return authority;
    });
  }

  revoke(authorityId: string): Promise<A> {
    return this.#force(async () => {
      const authority = this.#require(authorityId);
      checkRevoke(authority, this.#parts.publisher.find(authority));
      await this.#parts.slots.remove(authority, 'revoke');
      return authority;
    });
  }

  /** Resolves when no step is under way; none begins after. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopWatching();
    this.#timer?.cancel();
    await this.#work;
  }

  #enqueue(action: () => Promise<void>): Promise<void> {
    this.#work = this.#work.then(action);
    return this.#work;
  }

  /** Performs a step that an operator wants, when nothing else is under way. */
  #force<Result>(step: () => Promise<Result>): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    void this.#enqueue(async () => {
      try {
        this.#requireOpen();
        if (!this.#isLoaded) await this.#load();
        resolve(await step());
      } catch (error) {
        this.#isLoaded = false;
        reject(error);
      }
      this.pokeUnlessFailing();
    });
    return promise;
  }

  async #advanceOrFail(): Promise<void> {
    this.#timer?.cancel();
    try {
      await this.#advance();
      this.#failure = undefined;
    } catch (thrown) {
      this.#fail(thrown);
    }
    this.#sleep();
  }

  async #advance(): Promise<void> {
    if (!this.#isLoaded) await this.#load();
    for (let { step } = this; step.type !== 'wait'; step = this.step) {
      if (this.#isClosed) return;
      await this.#perform(step);
    }
  }

  async #perform(step: Exclude<RotationStep<A>, { type: 'wait' }>): Promise<void> {
    const { clock, slots } = this.#parts;
    if (step.type === 'prepare') await slots.prepare(clock.now());
    else if (step.type === 'publish') await slots.publish(step.authority);
    else if (step.type === 'activate') await this.#activate(step.authority);
    else await slots.remove(step.authority, 'prune');
  }

  /** The gate is asked before the authority signs; those it names are told of after. */
  async #activate(authority: A): Promise<void> {
    const isFirst = this.#parts.slots.authorities.every(({ state }) => state === 'prepared');
    const { isOpen, behind } = this.gateOf(authority);
    await this.#parts.slots.activate(authority);
    this.#alarm = undefined;
    if (isOpen || (isFirst && !this.#parts.othersSign())) return;
    const { authorityId } = authority;
    const { clock, kind, log } = this.#parts;
    this.#alarm = { authorityId, at: clock.now(), behind };
    log.error(
      { authorityId, behind: behind.slice(0, 20), behindCount: behind.length },
      `a ${kindNames[kind]} authority signs that not everybody knows`,
    );
    this.#parts.onAlarm(this.#alarm);
  }

  #knownAt(prepared: A): number {
    const { gate, publisher } = this.#parts;
    if (gate === undefined || publisher.find(prepared) === undefined) {
      return Number.POSITIVE_INFINITY;
    }
    const { isOpen, opensAt } = gate.check(prepared);
    if (isOpen) return Number.NEGATIVE_INFINITY;
    return opensAt ?? Number.POSITIVE_INFINITY;
  }

  async #load(): Promise<void> {
    await this.#parts.slots.load();
    this.#isLoaded = true;
  }

  #sleep(): void {
    if (this.#isClosed) return;
    this.#timer?.cancel();
    this.#timer = this.#parts.clock.setTimer(this.#delayMs(), () => this.poke());
  }

  #delayMs(): number {
    if (this.#failure !== undefined) {
      return Math.min(FIRST_RETRY_MS * 2 ** (this.#failure.count - 1), MAX_RETRY_MS);
    }
    const { step } = this;
    if (step.type !== 'wait') return 0;
    return Math.min(step.until - this.#parts.clock.now(), MAX_WAIT_MS);
  }

  #fail(thrown: unknown): void {
    const error = thrown instanceof Error ? thrown : new Error(messageOf(thrown));
    const { clock, kind, log } = this.#parts;
    this.#isLoaded = false;
    this.#failure = { count: (this.#failure?.count ?? 0) + 1, at: clock.now(), error };
    log.error(
      { err: error, failures: this.#failure.count },
      `${kindNames[kind]} authority rotation failed`,
    );
    this.#parts.onFailure(this.#failure);
  }

  #require(authorityId: string): A {
    const { kind, slots } = this.#parts;
    return requireAuthority(slots.authorities, authorityId, kind);
  }

  #requireOpen(): void {
    if (!this.#isClosed) return;
    throw new TrustplaneError('ERR_CA_CLOSED', 'the certificate authority is closed');
  }
}
