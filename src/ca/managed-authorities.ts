import type { Log } from '../ops/index.ts';
import { type Clock, TrustplaneError } from '../spiffe/index.ts';
import { type Authority, type AuthorityKind, kindNames } from './authority.ts';
import type { AuthorityPublisher } from './authority-publisher.ts';
import { AuthoritySlots, type RotationEvent } from './authority-slots.ts';
import type { CaMetrics } from './ca-metrics.ts';
import {
  type AuthorityStatus,
  type CaHealth,
  type CaStatus,
  describeAuthority,
  describeHealth,
  describeStatus,
} from './ca-status.ts';
import type { ForcedSteps } from './forced-steps.ts';
import type { Gate } from './gate.ts';
import type { Journal } from './journal.ts';
import type { KeyManager, SigningKey } from './key-manager.ts';
import type { Peers } from './peer-authorities.ts';
import { Rotation } from './rotation.ts';

/** The authorities of one kind, as operators see them. */
export interface AuthorityControl extends ForcedSteps<AuthorityStatus> {
  /** Cheap, to be asked often. */
  health(): CaHealth;
  status(): CaStatus;
  /** The authorities of the other servers of the control plane. */
  readonly peers: Peers;
  /** Called after each step of the rotation; returns the way to stop. */
  onRotation(listener: (event: RotationEvent) => void): () => void;
}

export interface ManagedAuthoritiesOptions<A extends Authority> {
  readonly kind: AuthorityKind;
  readonly peers: Peers;
  readonly journal: Journal<A>;
  readonly keyManager: KeyManager;
  readonly publisher: AuthorityPublisher<A>;
  readonly gate: Gate<A> | undefined;
  readonly othersSign: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: CaMetrics;
}

/** Slots, rotation, status and metrics of the authorities of one kind; who extends it signs. */
export abstract class ManagedAuthorities<A extends Authority> implements AuthorityControl {
  readonly #options: ManagedAuthoritiesOptions<A>;
  readonly #slots: AuthoritySlots<A>;
  readonly #rotation: Rotation<A>;
  readonly #listeners = new Set<(event: RotationEvent) => void>();
  readonly #active = Promise.withResolvers<void>();
  #signer: A | undefined;
  #isClosed = false;

  constructor(options: ManagedAuthoritiesOptions<A>) {
    const { kind, metrics } = options;
    this.#options = options;
    this.#slots = new AuthoritySlots({
      ...options,
      makeAuthority: (now) => this.makeAuthority(now),
      onActive: (authority, key) => this.#takeActive(authority, key),
      onEvent: (event) => this.#report(event),
    });
    this.#rotation = new Rotation({
      ...options,
      slots: this.#slots,
      onFailure: () => metrics.failures.inc({ kind }),
      onAlarm: () => metrics.alarms.inc({ kind }),
    });
  }

  get peers(): Peers {
    return this.#options.peers;
  }

  /** Makes a key and what goes with it. */
  protected abstract makeAuthority(now: number): Promise<A>;

  /** The authority that signs from now on. */
  protected abstract useAuthority(authority: A, key: SigningKey): void;

  /** Resolves at the first time that something can sign. */
  get active(): Promise<void> {
    return this.#active.promise;
  }

  /**
   * Resolves when the active authority can sign, or when only a clock that was set back keeps it from that, or
   * other servers, which sign while not everybody knows the first authority of this one.
   */
  async start(): Promise<void> {
    await this.#rotation.start();
    const { canSign, isJoining, failure } = this.health();
    if (canSign) return;
    const { kind, log } = this.#options;
    if (failure === undefined && isJoining === true) {
      log.info({}, `the first ${kindNames[kind]} authority signs as soon as everybody knows it`);
      return;
    }
    if (failure === undefined) {
      log.warn({}, `the clock stands before the ${kindNames[kind]} authority; nothing is signed`);
      return;
    }
    await this.close();
    throw failure.error;
  }

  /** @throws TrustplaneError ERR_CA_CLOSED */
  protected requireOpen(): void {
    if (!this.#isClosed) return;
    throw new TrustplaneError('ERR_CA_CLOSED', 'the certificate authority is closed');
  }

  /** In every state. */
  protected get authorities(): readonly A[] {
    return this.#slots.authorities;
  }

  /** @throws TrustplaneError ERR_CA_KEY_MISSING */
  protected async keyOf(authority: A): Promise<SigningKey> {
    return await this.#slots.keyOf(authority);
  }

  /** Has the rotation look at an authority that is out of its time. */
  protected checkTime({ notBefore, notAfter }: A, now: number): void {
    if (now < notBefore || now >= notAfter) this.#rotation.pokeUnlessFailing();
  }

  /** Does what is due; resolves when that is done, or has failed. */
  protected async settle(): Promise<void> {
    await this.#rotation.settle();
  }

  health(): CaHealth {
    const health = describeHealth(this.#signer, this.#rotation, this.#options.clock.now());
    return { ...health, isJoining: this.#signer === undefined && this.#options.othersSign() };
  }

  status(): CaStatus {
    const { clock, publisher } = this.#options;
    return describeStatus({
      health: this.health(),
      authorities: this.#slots.authorities,
      step: this.#rotation.step,
      find: (authority) => publisher.find(authority),
      gateOf: (authority) => this.#rotation.gateOf(authority),
      now: clock.now(),
    });
  }

  onRotation(listener: (event: RotationEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async prepare(): Promise<AuthorityStatus> {
    return this.#describe(await this.#rotation.prepare());
  }

  async activate(
    authorityId: string,
    options?: { readonly force?: boolean },
  ): Promise<AuthorityStatus> {
    return this.#describe(await this.#rotation.activate(authorityId, options));
  }

  async taint(authorityId: string): Promise<AuthorityStatus> {
    return this.#describe(await this.#rotation.taint(authorityId));
  }

  async revoke(authorityId: string): Promise<AuthorityStatus> {
    return this.#describe(await this.#rotation.revoke(authorityId));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#rotation.close();
  }

  #describe(authority: A): AuthorityStatus {
    return describeAuthority(authority, this.#options.publisher.find(authority));
  }

  #takeActive(authority: A, key: SigningKey): void {
    const { kind, metrics } = this.#options;
    this.#signer = authority;
    this.useAuthority(authority, key);
    this.#active.resolve();
    metrics.activeExpiry.set({ kind }, authority.notAfter / 1000);
  }

  #report(event: RotationEvent): void {
    const { kind, metrics } = this.#options;
    metrics.steps.inc({ kind, step: event.type });
    for (const listener of this.#listeners) listener(event);
  }
}
