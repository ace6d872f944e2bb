import type { Log } from '../ops/index.ts';
import {
  type Bundle,
  bundlesEqual,
  type Clock,
  emptyBundle,
  messageOf,
  parseCertificate,
  parsePublicKey,
  type TokenAuthority,
  type TrustDomain,
  type X509Authority,
} from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import {
  checkNotRevoked,
  checkSize,
  type Edit,
  hasKeyId,
  isConflict,
  isNot,
  isOf,
  merged,
  NO_KEYS,
  type Publication,
  publication,
  sameItems,
  withJwtAuthority,
  withoutExpired,
  withRevoked,
  withTaint,
} from './bundle-edits.ts';
import {
  authorityName,
  type BundleKeys,
  type BundleRecord,
  bundleOf,
  decodeBundleRecord,
  encodeBundleRecord,
  type Provenance,
  type PublishedJwtAuthority,
  type PublishedX509Authority,
} from './bundle-record.ts';
import { followRecord, type RecordFeed, type RecordState } from './record-feed.ts';

const KEY = 'bundle';
const MAX_ATTEMPTS = 32;
const DEFAULT_REFRESH_HINT_SECONDS = 300;
/** Clocks differ. */
const REVOKED_AFTER_END_MS = 86_400_000;

/**
 * What one server may do to the bundle. X.509 authorities are named by their certificate (DER), JWT
 * authorities by their key ID. Once a change resolves it is durable and `current` shows it; all
 * reject with ERR_OWN_BUNDLE, ERR_OWN_BUNDLE_LIMIT or ERR_STORE_* when it cannot be made, and those that add an
 * authority that was revoked with ERR_OWN_BUNDLE_REVOKED. Taking out or
 * tainting what is not there does nothing.
 */
export interface OwnBundlePublisher {
  /** How it stands in the bundle as that is seen here; undefined when it is not in it. */
  find(certificate: Uint8Array): Publication | undefined;
  /** @throws TrustplaneError ERR_CERTIFICATE */
  publish(certificate: Uint8Array): Promise<void>;
  withdraw(certificate: Uint8Array): Promise<void>;
  /** Takes it out for good: nobody can publish it again. @throws TrustplaneError ERR_CERTIFICATE */
  revoke(certificate: Uint8Array): Promise<void>;
  /** As seen here. */
  isRevoked(certificate: Uint8Array): boolean;
  /** Everything signed by it is to be replaced. */
  taint(certificate: Uint8Array): Promise<void>;
  findJwt(keyId: string): Publication | undefined;
  /** @throws TrustplaneError ERR_DER, ERR_PUBLIC_KEY; ERR_KEY_EXISTS when another key has the ID */
  publishJwt(key: Pick<TokenAuthority, 'keyId' | 'publicKey' | 'expiresAt'>): Promise<void>;
  withdrawJwt(keyId: string): Promise<void>;
  /** `expiresAt`: when it has ended by itself, milliseconds since the epoch. */
  revokeJwt(keyId: string, expiresAt: number): Promise<void>;
  isJwtRevoked(keyId: string): boolean;
  /** Takes out what this server published and what ended before `instant` (milliseconds since the epoch). */
  withdrawExpired(instant: number): Promise<void>;
  taintJwt(keyId: string): Promise<void>;
  /**
   * Adds what is missing, takes over taints, and with `isComplete` takes out what this publisher
   * published and `keys` does not hold.
   */
  merge(keys: MergedKeys): Promise<void>;
  /** The JWT authorities it published. */
  jwtAuthorities(): readonly TokenAuthority[];
}

/** What a publisher that follows somebody else knows of. */
export interface MergedKeys {
  readonly x509Authorities: readonly X509Authority[];
  readonly jwtAuthorities: readonly TokenAuthority[];
  readonly isComplete: boolean;
}

/** The bundle of the own trust domain: one record, shared by all servers, seen live. */
export interface OwnBundle {
  current(): Bundle;
  /** Calls the listener after each change, before the `publish` or `withdraw` here that made it resolves; returns the way to stop. */
  watch(listener: (bundle: Bundle) => void): () => void;
  publisherFor(serverId: string): OwnBundlePublisher;
  /** Takes out what ended before `instant` (milliseconds since the epoch), whoever published it. @throws TrustplaneError ERR_OWN_BUNDLE, ERR_STORE_* */
  withdrawExpired(instant: number): Promise<void>;
  /** Resolves when `current` is at least the bundle with this sequence number, unless the store was set back. @throws TrustplaneError ERR_OWN_BUNDLE, ERR_STORE_* */
  catchUp(sequence: bigint): Promise<void>;
  close(): Promise<void>;
}

export interface OwnBundleOptions {
  /** The bucket `authorities`. */
  readonly bucket: Bucket;
  readonly trustDomain: TrustDomain;
  /** How often others should ask for the bundle, in seconds; default 300. */
  readonly refreshHintSeconds?: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** @throws TrustplaneError ERR_OWN_BUNDLE, ERR_STORE_UNAVAILABLE */
export async function openOwnBundle(options: OwnBundleOptions): Promise<OwnBundle> {
  const bundle = new StoredOwnBundle(options);
  await bundle.open();
  return bundle;
}

class StoredOwnBundle implements OwnBundle {
  readonly #options: OwnBundleOptions;
  readonly #refreshHintSeconds: number;
  readonly #listeners = new Set<(bundle: Bundle) => void>();
  #feed: RecordFeed | undefined;
  #revision = -1;
  #record: BundleRecord | undefined;
  #bundle: Bundle;

  constructor(options: OwnBundleOptions) {
    this.#options = options;
    this.#refreshHintSeconds = options.refreshHintSeconds ?? DEFAULT_REFRESH_HINT_SECONDS;
    this.#bundle = emptyBundle(options.trustDomain);
  }

  async open(): Promise<void> {
    const { bucket, clock, log } = this.#options;
    const first = await bucket.get(KEY);
    if (first !== undefined) this.#apply(this.#decode(first.value), first.revision);
    const onState = (state: RecordState): void => this.#take(state);
    this.#feed = await followRecord({ bucket, key: KEY, clock, log, onState });
    if (first !== undefined) await this.#change((keys) => keys);
  }

  current(): Bundle {
    return this.#bundle;
  }

  watch(listener: (bundle: Bundle) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  publisherFor(serverId: string): OwnBundlePublisher {
    const { clock } = this.#options;
    const provenance = (): Provenance => ({ publishedAt: clock.now(), publishedBy: serverId });
    return {
      find: (certificate) => publication(this.#record?.x509Authorities.find(isOf(certificate))),
      publish: async (certificate) => {
        const { der } = parseCertificate(certificate);
        const authority = { certificate: der, tainted: false, ...provenance() };
        await this.#changeX509((all) => (all.some(isOf(der)) ? all : [...all, authority]));
      },
      withdraw: (certificate) => this.#changeX509((all) => all.filter(isNot(isOf(certificate)))),
      revoke: async (certificate) => {
        const { der, notAfter } = parseCertificate(certificate);
        const name = authorityName({ certificate: der });
        await this.#change((keys) => ({
          ...keys,
          x509Authorities: keys.x509Authorities.filter(isNot(isOf(der))),
          revoked: withRevoked(keys.revoked, { name, until: notAfter }),
        }));
      },
      isRevoked: (certificate) => this.#isRevoked(authorityName({ certificate })),
      taint: (certificate) => this.#changeX509((all) => withTaint(all, isOf(certificate))),
      findJwt: (keyId) => publication(this.#record?.jwtAuthorities.find(hasKeyId(keyId))),
      publishJwt: async ({ keyId, publicKey, expiresAt }) => {
        parsePublicKey(publicKey);
        const authority = { keyId, publicKey, expiresAt, tainted: false, ...provenance() };
        await this.#changeJwt((all) => withJwtAuthority(all, authority));
      },
      withdrawJwt: (keyId) => this.#changeJwt((all) => all.filter(isNot(hasKeyId(keyId)))),
      revokeJwt: async (keyId, expiresAt) => {
        const name = authorityName({ keyId });
        await this.#change((keys) => ({
          ...keys,
          jwtAuthorities: keys.jwtAuthorities.filter(isNot(hasKeyId(keyId))),
          revoked: withRevoked(keys.revoked, { name, until: expiresAt }),
        }));
      },
      isJwtRevoked: (keyId) => this.#isRevoked(authorityName({ keyId })),
      withdrawExpired: (instant) => this.#change((keys) => withoutExpired(keys, instant, serverId)),
      taintJwt: (keyId) => this.#changeJwt((all) => withTaint(all, hasKeyId(keyId))),
      merge: async ({ isComplete, ...known }) => {
        const isKept = (one: Parameters<typeof authorityName>[0]): boolean =>
          !this.#isRevoked(authorityName(one));
        const x509Authorities = known.x509Authorities.filter(isKept);
        const jwtAuthorities = known.jwtAuthorities.filter(isKept);
        for (const { certificate } of x509Authorities) parseCertificate(certificate);
        for (const { publicKey } of jwtAuthorities) parsePublicKey(publicKey);
        const by = { ...provenance(), isComplete };
        await this.#change((keys) => ({
          revoked: keys.revoked,
          x509Authorities: merged(keys.x509Authorities, x509Authorities, by, (one) =>
            isOf(one.certificate),
          ),
          jwtAuthorities: merged(keys.jwtAuthorities, jwtAuthorities, by, (one) =>
            hasKeyId(one.keyId),
          ),
        }));
      },
      jwtAuthorities: () =>
        this.#record?.jwtAuthorities.filter(({ publishedBy }) => publishedBy === serverId) ?? [],
    };
  }

  async withdrawExpired(instant: number): Promise<void> {
    await this.#change((keys) => withoutExpired(keys, instant));
  }

  async catchUp(sequence: bigint): Promise<void> {
    if ((this.#record?.sequence ?? 0n) >= sequence) return;
    const stored = await this.#options.bucket.get(KEY);
    if (stored !== undefined) this.#apply(this.#decode(stored.value), stored.revision);
  }

  async close(): Promise<void> {
    await this.#feed?.close();
  }

  #changeX509(edit: Edit<PublishedX509Authority>): Promise<void> {
    return this.#change((keys) => ({ ...keys, x509Authorities: edit(keys.x509Authorities) }));
  }

  #changeJwt(edit: Edit<PublishedJwtAuthority>): Promise<void> {
    return this.#change((keys) => ({ ...keys, jwtAuthorities: edit(keys.jwtAuthorities) }));
  }

  /** Writes what `edit` makes of the stored authorities, unless nothing differs. */
  async #change(edit: (keys: BundleKeys) => BundleKeys): Promise<void> {
    const { bucket, trustDomain } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const stored = await bucket.get(KEY);
      const record = stored === undefined ? undefined : this.#decode(stored.value);
      const next = this.#next(record, edit(record ?? NO_KEYS));
      if (stored !== undefined && next === record) return this.#apply(next, stored.revision);
      try {
        const value = encodeBundleRecord(next, trustDomain);
        return this.#apply(next, await bucket.put(KEY, value, stored?.revision ?? 0));
      } catch (error) {
        if (!isConflict(error) || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** The record after a change; `record` itself when its content stays (BUNDLE-4). */
  #next(record: BundleRecord | undefined, keys: BundleKeys): BundleRecord {
    checkNotRevoked(keys, record);
    const { x509Authorities, jwtAuthorities } = keys;
    const refreshHintSeconds = this.#refreshHintSeconds;
    const now = this.#options.clock.now();
    const revoked = keys.revoked.filter(({ until }) => until + REVOKED_AFTER_END_MS > now);
    const isSame =
      record !== undefined &&
      record.refreshHintSeconds === refreshHintSeconds &&
      sameItems(record.x509Authorities, x509Authorities) &&
      sameItems(record.jwtAuthorities, jwtAuthorities) &&
      sameItems(record.revoked, keys.revoked);
    if (isSame) return record;
    checkSize(keys, record);
    const sequence = (record?.sequence ?? 0n) + 1n;
    return { sequence, refreshHintSeconds, x509Authorities, jwtAuthorities, revoked };
  }

  #isRevoked(name: string): boolean {
    return this.#record?.revoked.some((one) => one.name === name) === true;
  }

  #decode(value: Uint8Array): BundleRecord {
    return decodeBundleRecord(value, this.#options.trustDomain);
  }

  /** A state of the feed. What cannot be a newer bundle leaves the last good one in place. */
  #take({ value, revision }: RecordState): void {
    if (revision <= this.#revision) return;
    try {
      if (value !== undefined) return this.#apply(this.#decode(value), revision);
      if (this.#record !== undefined) throw new Error('the stored bundle was deleted');
    } catch (error) {
      this.#options.log.error({ error: messageOf(error) }, 'kept the last good own bundle');
    }
  }

  #apply(record: BundleRecord, revision: number): void {
    if (revision <= this.#revision) return;
    this.#revision = revision;
    this.#record = record;
    const bundle = bundleOf(record, this.#options.trustDomain);
    if (bundlesEqual(bundle, this.#bundle)) return;
    this.#bundle = bundle;
    for (const listener of this.#listeners) listener(this.#bundle);
  }
}
