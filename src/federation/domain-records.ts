import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import {
  type Bucket,
  listPage,
  type PageRequest,
  type RecordPage,
  unlessConflict,
} from '../store/index.ts';
import { DomainRecordView } from './domain-record-view.ts';
import type { FederationFeed } from './federation-feed.ts';
import { federationLimits } from './federation-limits.ts';
import type { RecordKind } from './record-kind.ts';

/** How often a write is tried again after others changed the same record. */
const MAX_ATTEMPTS = 32;

export interface DomainRecordsOptions {
  /** The bucket `federation`. */
  readonly bucket: Bucket;
  /** The own trust domain, of which there are no records. */
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * One record for each foreign trust domain. Writes are compare-and-set and resolve when they are
 * durable and the view has them; reads are from memory.
 */
export class DomainRecords<Value> {
  readonly #options: DomainRecordsOptions;
  readonly #kind: RecordKind<Value>;
  readonly #view: DomainRecordView<Value>;
  readonly #feed: FederationFeed;
  readonly #listeners = new Set<() => void>();

  /** Records are there once the feed is open. */
  constructor(kind: RecordKind<Value>, options: DomainRecordsOptions, feed: FederationFeed) {
    this.#options = options;
    this.#kind = kind;
    const onChange = (): void => {
      for (const listener of this.#listeners) listener();
    };
    this.#view = new DomainRecordView({ ...options, kind, onChange });
    this.#feed = feed;
    feed.attach(kind.name, this.#view);
  }

  /** Up to which revision of the bucket it is known. */
  get revision(): number {
    return this.#feed.revision;
  }

  /** Resolves when all is known that another server knew at that revision; see BucketFeed. @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_* */
  async catchUp(revision: number): Promise<void> {
    await this.#feed.catchUp(revision);
  }

  get(trustDomain: TrustDomain): Value | undefined {
    return this.#view.at(trustDomain.name)?.value;
  }

  /** In order of the names. */
  all(): readonly Value[] {
    return this.#view.names.flatMap((name) => this.#view.at(name)?.value ?? []);
  }

  /** Trust domains of whose record nothing is known but that it is there. */
  get damaged(): ReadonlySet<string> {
    return this.#view.damaged;
  }

  get size(): number {
    return this.#view.names.length;
  }

  /** Whether the store has a record at this instant, readable or not. @throws TrustplaneError ERR_STORE_* */
  async isStored(trustDomain: TrustDomain): Promise<boolean> {
    return (await this.#options.bucket.get(this.#kind.keyOf(trustDomain))) !== undefined;
  }

  /** In order of the names. @throws TrustplaneError ERR_FEDERATION_PAGE */
  list(request: PageRequest): RecordPage<Value> {
    const held = { ids: this.#view.names, itemOf: (name: string) => this.#view.at(name) };
    const page = listPage(
      { ...held, bytesOf: ({ bytes }) => bytes, idPattern: /^[a-z0-9._-]{1,255}$/u },
      request,
      federationLimits.page,
      (message) => new TrustplaneError('ERR_FEDERATION_PAGE', message),
    );
    return { ...page, items: page.items.map(({ value }) => value) };
  }

  /** Calls the listener, which must not throw, after each change; returns the way to stop. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Writes what `edit` makes of the stored record, unless it gives it back as it was.
   * @throws TrustplaneError ERR_FEDERATION_*, ERR_STORE_*; what `edit` throws
   */
  async change(
    trustDomain: TrustDomain,
    edit: (before: Value | undefined) => Value,
  ): Promise<Value> {
    const { bucket } = this.#options;
    this.#requireForeign(trustDomain);
    const key = this.#kind.keyOf(trustDomain);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const stored = await bucket.get(key);
      const before = stored && this.#kind.decode(key, stored.value);
      const after = edit(before);
      if (before !== undefined && after === before) return after;
      if (before === undefined) this.#requireRoom();
      const value = this.#kind.encode(after);
      const revision = await unlessConflict(() => bucket.put(key, value, stored?.revision ?? 0));
      if (revision === undefined) continue;
      await this.#feed.reached(revision);
      return after;
    }
    const message = `the ${this.#kind.name} of ${trustDomain.name} was changed by others ${MAX_ATTEMPTS} times meanwhile; try again`;
    throw new TrustplaneError('ERR_FEDERATION_CONFLICT', message);
  }

  /**
   * Also what cannot be read. When this resolves, the view has it no more.
   * @throws TrustplaneError `notFoundCode`, ERR_FEDERATION_TRUST_DOMAIN, ERR_FEDERATION_CLOSED, ERR_STORE_*
   */
  async delete(trustDomain: TrustDomain): Promise<void> {
    this.#requireForeign(trustDomain);
    const revision = await this.#options.bucket.delete(this.#kind.keyOf(trustDomain));
    if (revision === undefined) throw this.notFound(trustDomain);
    await this.#feed.reached(revision);
  }

  notFound(trustDomain: TrustDomain): TrustplaneError {
    const { name, notFoundCode } = this.#kind;
    return new TrustplaneError(notFoundCode, `there is no ${name} of ${trustDomain.name}`);
  }

  #requireForeign(trustDomain: TrustDomain): void {
    if (!trustDomain.equals(this.#options.trustDomain)) return;
    const message = `expected a foreign trust domain; got ${trustDomain.name}, the own one`;
    throw new TrustplaneError('ERR_FEDERATION_TRUST_DOMAIN', message);
  }

  #requireRoom(): void {
    if (this.size < federationLimits.trustDomains) return;
    const message = `there is a ${this.#kind.name} of ${this.size} trust domains; at most ${federationLimits.trustDomains} are allowed`;
    throw new TrustplaneError('ERR_FEDERATION_LIMIT', message);
  }
}
