import type { Log } from '../ops/index.ts';
import {
  type Bundle,
  bundlesEqual,
  type Clock,
  emptyBundle,
  messageOf,
  parseCertificate,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import {
  type BundleRecord,
  bundleOf,
  decodeBundleRecord,
  encodeBundleRecord,
} from './bundle-record.ts';
import { followRecord, type RecordFeed, type RecordState } from './record-feed.ts';

const KEY = 'bundle';
const MAX_ATTEMPTS = 32;
const DEFAULT_REFRESH_HINT_SECONDS = 300;

/** What one server may do to the bundle. Authorities are named by their certificate (DER). */
export interface OwnBundlePublisher {
  /** True when the bundle as it is seen here holds it. */
  isPublished(certificate: Uint8Array): boolean;
  /**
   * Adds it; once this resolves it is durable and `current` holds it.
   * @throws TrustplaneError ERR_CERTIFICATE, ERR_OWN_BUNDLE, ERR_STORE_UNAVAILABLE
   */
  publish(certificate: Uint8Array): Promise<void>;
  /**
   * Takes it out; nothing happens when it is not there.
   * @throws TrustplaneError ERR_OWN_BUNDLE, ERR_STORE_UNAVAILABLE
   */
  withdraw(certificate: Uint8Array): Promise<void>;
}

/** The bundle of the own trust domain: one record, shared by all servers, seen live. */
export interface OwnBundle {
  current(): Bundle;
  /** Calls the listener after each change, before the `publish` or `withdraw` here that made it resolves; returns the way to stop. */
  watch(listener: (bundle: Bundle) => void): () => void;
  publisherFor(serverId: string): OwnBundlePublisher;
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
  #isStored = false;
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
    if (first !== undefined) await this.#change((authorities) => authorities);
  }

  current(): Bundle {
    return this.#bundle;
  }

  watch(listener: (bundle: Bundle) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  publisherFor(serverId: string): OwnBundlePublisher {
    return {
      isPublished: (certificate) => this.#bundle.x509Authorities.some(isOf(certificate)),
      publish: async (certificate) => {
        const { der } = parseCertificate(certificate);
        await this.#change((authorities) =>
          authorities.some(isOf(der))
            ? authorities
            : [...authorities, { certificate: der, tainted: false, publishedBy: serverId }],
        );
      },
      withdraw: (certificate) =>
        this.#change((authorities) =>
          authorities.filter((authority) => !isOf(certificate)(authority)),
        ),
    };
  }

  async close(): Promise<void> {
    await this.#feed?.close();
  }

  /** Writes what `edit` makes of the stored authorities, unless nothing differs. */
  async #change(
    edit: (authorities: BundleRecord['x509Authorities']) => BundleRecord['x509Authorities'],
  ): Promise<void> {
    const { bucket, trustDomain } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const stored = await bucket.get(KEY);
      const record = stored === undefined ? undefined : this.#decode(stored.value);
      const next = this.#next(record, edit(record?.x509Authorities ?? []));
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
  #next(
    record: BundleRecord | undefined,
    x509Authorities: BundleRecord['x509Authorities'],
  ): BundleRecord {
    const refreshHintSeconds = this.#refreshHintSeconds;
    const isSame =
      record !== undefined &&
      record.refreshHintSeconds === refreshHintSeconds &&
      record.x509Authorities.length === x509Authorities.length &&
      record.x509Authorities.every((authority, index) => authority === x509Authorities[index]);
    if (isSame) return record;
    return { sequence: (record?.sequence ?? 0n) + 1n, refreshHintSeconds, x509Authorities };
  }

  #decode(value: Uint8Array): BundleRecord {
    return decodeBundleRecord(value, this.#options.trustDomain);
  }

  /** A state of the feed. What cannot be a newer bundle leaves the last good one in place. */
  #take({ value, revision }: RecordState): void {
    if (revision <= this.#revision) return;
    try {
      if (value !== undefined) return this.#apply(this.#decode(value), revision);
      if (this.#isStored) throw new Error('the stored bundle was deleted');
    } catch (error) {
      this.#options.log.error({ error: messageOf(error) }, 'kept the last good own bundle');
    }
  }

  #apply(record: BundleRecord, revision: number): void {
    if (revision <= this.#revision) return;
    this.#revision = revision;
    this.#isStored = true;
    const bundle = bundleOf(record, this.#options.trustDomain);
    if (bundlesEqual(bundle, this.#bundle)) return;
    this.#bundle = bundle;
    for (const listener of this.#listeners) listener(this.#bundle);
  }
}

function isOf(
  certificate: Uint8Array,
): (authority: { readonly certificate: Uint8Array }) => boolean {
  return (authority) => Buffer.compare(authority.certificate, certificate) === 0;
}

function isConflict(error: unknown): boolean {
  return error instanceof TrustplaneError && error.code === 'ERR_STORE_CONFLICT';
}
