import type { Log } from '../ops/index.ts';
import { type Clock, type Crl, messageOf } from '../spiffe/index.ts';
import {
  type Bucket,
  BucketFeed,
  type FeedTarget,
  type StoredRecord,
  type StoreEvent,
  type StoreSnapshot,
} from '../store/index.ts';
import { CRL_PREFIX, crlKeyOf, decodeCrl, type KeptCrl } from './crl-record.ts';

export interface CrlRegistryOptions {
  /** The bucket `authorities`. */
  readonly bucket: Bucket;
  readonly clock: Clock;
  readonly log: Log;
}

/** The CRLs of all servers of the control plane, live. */
export class CrlRegistry implements FeedTarget {
  readonly #options: CrlRegistryOptions;
  readonly #feed: BucketFeed;
  readonly #held = new Map<string, KeptCrl>();
  readonly #listeners = new Set<() => void>();
  #list: readonly Crl[] | undefined;
  #following: Promise<void> = Promise.resolve();

  private constructor(options: CrlRegistryOptions) {
    this.#options = options;
    this.#feed = new BucketFeed({ ...options, prefix: CRL_PREFIX, what: 'CRLs', target: this });
  }

  /** Reads all CRLs and follows their changes until `close`. @throws TrustplaneError ERR_STORE_* */
  static async load(options: CrlRegistryOptions): Promise<CrlRegistry> {
    const registry = new CrlRegistry(options);
    await registry.#feed.load();
    registry.#following = registry.#feed.follow();
    return registry;
  }

  /** Those to check against, by authority; the same list until something changes. */
  list(): readonly Crl[] {
    this.#list ??= this.all().flatMap(({ crl, isWithheld }) => (isWithheld ? [] : [crl]));
    return this.#list;
  }

  /** By authority. */
  all(): readonly KeptCrl[] {
    return [...this.#held].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, kept]) => kept);
  }

  get(authorityId: string): KeptCrl | undefined {
    return this.#held.get(crlKeyOf(authorityId));
  }

  /** Calls the listener, which must not throw, after each change; returns the way to stop. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#feed.close();
    await this.#following;
  }

  onSnapshot({ records }: StoreSnapshot): void {
    this.#held.clear();
    for (const record of records) this.#take(record);
    this.#tell();
  }

  onEvent(event: StoreEvent): void {
    if (event.type === 'put') this.#take(event);
    else this.#held.delete(event.key);
    this.#tell();
  }

  /** Without one that cannot be read nothing is checked: that harms nobody. */
  #take({ key, value }: Pick<StoredRecord, 'key' | 'value'>): void {
    try {
      this.#held.set(key, decodeCrl(key, value));
    } catch (error) {
      this.#held.delete(key);
      this.#options.log.error({ key, error: messageOf(error) }, 'a stored CRL is left out');
    }
  }

  #tell(): void {
    this.#list = undefined;
    for (const listener of this.#listeners) listener();
  }
}
