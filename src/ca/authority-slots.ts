import type { Log } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Authority, type AuthorityKind, keyPrefixOf, kindNames } from './authority.ts';
import type { AuthorityPublisher } from './authority-publisher.ts';
import type { Journal } from './journal.ts';
import type { KeyManager, SigningKey } from './key-manager.ts';
import { activate, retireActive, without } from './slots.ts';

export type RotationStepName = 'prepare' | 'publish' | 'activate' | 'taint' | 'prune' | 'revoke';

export interface RotationEvent {
  readonly type: RotationStepName;
  readonly authorityId: string;
}

export interface AuthoritySlotsOptions<A extends Authority> {
  readonly kind: AuthorityKind;
  readonly journal: Journal<A>;
  readonly keyManager: KeyManager;
  readonly publisher: AuthorityPublisher<A>;
  readonly log: Log;
  /** Makes a key and what goes with it. */
  makeAuthority(now: number): Promise<A>;
  /** The authority that signs from now on; called before the event. */
  onActive(authority: A, key: SigningKey): void;
  onEvent(event: RotationEvent): void;
}

/**
 * The authorities of one kind, and what may happen to them, each step durable before the next: key
 * sealed, journal (prepared), bundle, journal (active), first SVID. After a failure or a crash `load`
 * takes up what is durable. One step at a time.
 */
export class AuthoritySlots<A extends Authority> {
  readonly #options: AuthoritySlotsOptions<A>;
  #authorities: readonly A[] = [];

  constructor(options: AuthoritySlotsOptions<A>) {
    this.#options = options;
  }

  get authorities(): readonly A[] {
    return this.#authorities;
  }

  find(authorityId: string): A | undefined {
    return this.#authorities.find((authority) => authority.authorityId === authorityId);
  }

  /** @throws TrustplaneError ERR_CA_JOURNAL, ERR_CA_KEY_MISSING, ERR_STORE_UNAVAILABLE */
  async load(): Promise<void> {
    const { journal, keyManager } = this.#options;
    this.#authorities = await journal.load();
    await this.#dropAuthoritiesWithoutKey(new Set(await keyManager.listKeys()));
    await this.#deleteKeysWithoutAuthority();
    const active = this.#authorities.find(({ state }) => state === 'active');
    if (active !== undefined) this.#options.onActive(active, await this.keyOf(active));
  }

  async prepare(now: number): Promise<A> {
    const authority = await this.#options.makeAuthority(now);
    await this.#write([...this.#authorities, authority]);
    this.#done('prepare', authority);
    return authority;
  }

  async publish(authority: A): Promise<void> {
    await this.#options.publisher.publish(authority);
    this.#done('publish', authority);
  }

  async activate(authority: A): Promise<void> {
    const key = await this.keyOf(authority);
    await this.#write(activate(this.#authorities, authority.authorityId));
    this.#options.onActive(authority, key);
    this.#done('activate', authority);
  }

  async taint(authority: A): Promise<void> {
    await this.#options.publisher.taint(authority);
    this.#done('taint', authority);
  }

  /** Out of the bundle, the journal and the key manager, in this order. */
  async remove(authority: A, why: 'prune' | 'revoke'): Promise<void> {
    const { publisher } = this.#options;
    await (why === 'revoke' ? publisher.revoke(authority) : publisher.withdraw(authority));
    await this.#write(without(this.#authorities, authority.authorityId));
    await this.#options.keyManager.deleteKey(authority.keyId);
    this.#done(why, authority);
  }

  async #dropAuthoritiesWithoutKey(keyIds: ReadonlySet<string>): Promise<void> {
    for (const authority of this.#authorities) {
      if (keyIds.has(authority.keyId) || authority.state === 'old') continue;
      if (authority.state === 'prepared') await this.remove(authority, 'prune');
      else if (this.#options.keyManager.isDurable) throw this.#keyMissing(authority);
      else await this.#write(retireActive(this.#authorities));
    }
  }

  async #deleteKeysWithoutAuthority(): Promise<void> {
    const { kind, keyManager, log } = this.#options;
    const wanted = new Set(this.#authorities.map(({ keyId }) => keyId));
    for (const keyId of await keyManager.listKeys()) {
      if (!keyId.startsWith(keyPrefixOf(kind)) || wanted.has(keyId)) continue;
      await keyManager.deleteKey(keyId);
      log.info({ keyId }, `removed a key that no ${kindNames[kind]} authority uses`);
    }
  }

  /** The key, when it is the authority's. @throws TrustplaneError ERR_CA_KEY_MISSING */
  async keyOf(authority: A): Promise<SigningKey> {
    const key = await this.#options.keyManager.getKey(authority.keyId);
    if (key === undefined || !Buffer.from(key.publicKey).equals(authority.publicKey)) {
      throw this.#keyMissing(authority);
    }
    return key;
  }

  async #write(authorities: readonly A[]): Promise<void> {
    await this.#options.journal.write(authorities);
    this.#authorities = authorities;
  }

  #done(type: RotationStepName, { authorityId, notAfter }: A): void {
    const { kind, log } = this.#options;
    log.info(
      { authorityId, notAfter: new Date(notAfter).toISOString(), step: type },
      `${kindNames[kind]} authority rotation`,
    );
    this.#options.onEvent({ type, authorityId });
  }

  #keyMissing({ authorityId, keyId }: A): TrustplaneError {
    return new TrustplaneError(
      'ERR_CA_KEY_MISSING',
      `the key ${keyId} of the ${kindNames[this.#options.kind]} authority ${authorityId} is not in the key manager; restore it from a backup of the data directory`,
    );
  }
}
