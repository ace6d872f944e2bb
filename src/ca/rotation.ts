import type { Log } from '../ops/index.ts';
import { type Clock, messageOf, type Timer, TrustplaneError } from '../spiffe/index.ts';
import type { X509CaAuthority } from './authority.ts';
import type { AuthorityPublisher } from './authority-publisher.ts';
import type { Journal } from './journal.ts';
import type { KeyManager, SigningKey } from './key-manager.ts';
import { activate, nextStep, type RotationStep, retireActive, without } from './slots.ts';

/** Longest sleep, so that a clock that jumped ahead or a machine that slept is noticed. */
const MAX_WAIT_MS = 60_000;
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 10_000;
/** Marks this rotation's keys in a key manager that may hold others. */
export const KEY_PREFIX = 'x509-';

export interface RotationEvent {
  readonly type: 'prepare' | 'publish' | 'activate' | 'prune';
  readonly authorityId: string;
}

export interface RotationFailure {
  /** In a row. */
  readonly count: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly error: Error;
}

export interface RotationParts {
  readonly journal: Journal;
  readonly keyManager: KeyManager;
  readonly publisher: AuthorityPublisher;
  readonly clock: Clock;
  readonly log: Log;
  /** Makes a key and its self-signed certificate. */
  makeAuthority(now: number): Promise<X509CaAuthority>;
  /** The authority that signs from now on; called before the event. */
  onActive(authority: X509CaAuthority, key: SigningKey): void;
  onEvent(event: RotationEvent): void;
  onFailure(failure: RotationFailure): void;
}

/**
 * Performs what `nextStep` decides, one durable step at a time: key sealed, journal (prepared),
 * bundle, journal (active), first leaf. After a failure, and after a crash, it goes on from what is
 * durable.
 */
export class Rotation {
  readonly #parts: RotationParts;
  #authorities: readonly X509CaAuthority[] = [];
  #isLoaded = false;
  #failure: RotationFailure | undefined;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isClosed = false;

  constructor(parts: RotationParts) {
    this.#parts = parts;
  }

  get authorities(): readonly X509CaAuthority[] {
    return this.#authorities;
  }

  /** Undefined while the last attempt went well. */
  get failure(): RotationFailure | undefined {
    return this.#failure;
  }

  get step(): RotationStep {
    return this.#decide();
  }

  /**
   * Takes up what is durable and does what is due. What fails after the take-up is retried, as
   * always; see `failure`.
   * @throws TrustplaneError ERR_CA_JOURNAL, ERR_CA_KEY_MISSING, ERR_STORE_UNAVAILABLE
   */
  async start(): Promise<void> {
    await this.#load();
    this.poke();
    await this.#running;
  }

  /** Looks again now; never throws. */
  poke(): void {
    this.#running ??= this.#attempt().finally(() => {
      this.#running = undefined;
    });
  }

  /** Like `poke`, but a rotation that fails keeps to its pauses. */
  pokeUnlessFailing(): void {
    if (this.#failure === undefined) this.poke();
  }

  /** Resolves when no step is under way; none begins after. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#running;
  }

  async #attempt(): Promise<void> {
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
    for (let step = this.#decide(); step.type !== 'wait'; step = this.#decide()) {
      if (this.#isClosed) return;
      await this.#perform(step);
    }
  }

  #decide(): RotationStep {
    const { clock, publisher } = this.#parts;
    return nextStep(
      this.#authorities,
      ({ certificate }) => publisher.find(certificate) !== undefined,
      clock.now(),
    );
  }

  #sleep(): void {
    if (this.#isClosed) return;
    const { clock } = this.#parts;
    this.#timer?.cancel();
    this.#timer = clock.setTimer(this.#delayMs(), () => this.poke());
  }

  #delayMs(): number {
    if (this.#failure !== undefined) {
      return Math.min(FIRST_RETRY_MS * 2 ** (this.#failure.count - 1), MAX_RETRY_MS);
    }
    const step = this.#decide();
    if (step.type !== 'wait') return 0;
    return Math.min(step.until - this.#parts.clock.now(), MAX_WAIT_MS);
  }

  #fail(thrown: unknown): void {
    const error = thrown instanceof Error ? thrown : new Error(messageOf(thrown));
    const { clock, log } = this.#parts;
    this.#isLoaded = false;
    this.#failure = { count: (this.#failure?.count ?? 0) + 1, at: clock.now(), error };
    log.error({ err: error, failures: this.#failure.count }, 'X.509 authority rotation failed');
    this.#parts.onFailure(this.#failure);
  }

  async #load(): Promise<void> {
    const { journal, keyManager } = this.#parts;
    this.#authorities = await journal.load();
    await this.#dropAuthoritiesWithoutKey(new Set(await keyManager.listKeys()));
    await this.#deleteKeysWithoutAuthority();
    const active = this.#authorities.find(({ state }) => state === 'active');
    if (active !== undefined) this.#parts.onActive(active, await this.#keyOf(active));
    this.#isLoaded = true;
  }

  async #dropAuthoritiesWithoutKey(keyIds: ReadonlySet<string>): Promise<void> {
    for (const authority of this.#authorities) {
      if (keyIds.has(authority.keyId) || authority.state === 'old') continue;
      if (authority.state === 'prepared') await this.#prune(authority);
      else if (this.#parts.keyManager.isDurable) throw keyMissing(authority);
      else await this.#write(retireActive(this.#authorities));
    }
  }

  async #deleteKeysWithoutAuthority(): Promise<void> {
    const { keyManager, log } = this.#parts;
    const wanted = new Set(this.#authorities.map(({ keyId }) => keyId));
    for (const keyId of await keyManager.listKeys()) {
      if (!keyId.startsWith(KEY_PREFIX) || wanted.has(keyId)) continue;
      await keyManager.deleteKey(keyId);
      log.info({ keyId }, 'removed a key that no X.509 authority uses');
    }
  }

  /** The key, when it is the one of the certificate. */
  async #keyOf(authority: X509CaAuthority): Promise<SigningKey> {
    const key = await this.#parts.keyManager.getKey(authority.keyId);
    if (key === undefined || !Buffer.from(key.publicKey).equals(authority.parsed.publicKey)) {
      throw keyMissing(authority);
    }
    return key;
  }

  async #perform(step: Exclude<RotationStep, { type: 'wait' }>): Promise<void> {
    switch (step.type) {
      case 'prepare':
        return await this.#prepare();
      case 'publish':
        await this.#parts.publisher.publish(step.authority.certificate);
        return this.#done('publish', step.authority);
      case 'activate':
        return await this.#activate(step.authority);
      case 'prune':
        return await this.#prune(step.authority);
    }
  }

  async #prepare(): Promise<void> {
    const authority = await this.#parts.makeAuthority(this.#parts.clock.now());
    await this.#write([...this.#authorities, authority]);
    this.#done('prepare', authority);
  }

  async #activate(authority: X509CaAuthority): Promise<void> {
    const key = await this.#keyOf(authority);
    await this.#write(activate(this.#authorities, authority.authorityId));
    this.#parts.onActive(authority, key);
    this.#done('activate', authority);
  }

  async #prune(authority: X509CaAuthority): Promise<void> {
    await this.#parts.publisher.withdraw(authority.certificate);
    await this.#write(without(this.#authorities, authority.authorityId));
    await this.#parts.keyManager.deleteKey(authority.keyId);
    this.#done('prune', authority);
  }

  async #write(authorities: readonly X509CaAuthority[]): Promise<void> {
    await this.#parts.journal.write(authorities);
    this.#authorities = authorities;
  }

  #done(type: RotationEvent['type'], { authorityId, parsed }: X509CaAuthority): void {
    const notAfter = new Date(parsed.notAfter).toISOString();
    this.#parts.log.info({ authorityId, notAfter, step: type }, 'X.509 authority rotation');
    this.#parts.onEvent({ type, authorityId });
  }
}

function keyMissing({ authorityId, keyId }: X509CaAuthority): TrustplaneError {
  return new TrustplaneError(
    'ERR_CA_KEY_MISSING',
    `the key ${keyId} of the X.509 authority ${authorityId} is not in the key manager; restore it from a backup of the data directory`,
  );
}
