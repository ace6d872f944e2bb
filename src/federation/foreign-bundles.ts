import { type Bundle, bundlesEqual, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { PageRequest, RecordPage } from '../store/index.ts';
import { DomainRecords, type DomainRecordsOptions } from './domain-records.ts';
import type { FederationFeed } from './federation-feed.ts';
import { acceptBundle, type ForeignBundle } from './foreign-bundle.ts';
import { foreignBundleKind } from './foreign-bundle-record.ts';

/** The fields of a bundle an update sets; those left out stay. */
export type BundleEdit = Partial<Omit<Bundle, 'trustDomain'>>;

/** The bundles of foreign trust domains, each apart from the others: kept in the store, seen live. */
export class ForeignBundles {
  readonly #records: DomainRecords<ForeignBundle>;
  readonly #listeners = new Set<(bundles: ReadonlyMap<string, Bundle>) => void>();
  #current: ReadonlyMap<string, Bundle> = new Map();

  private constructor(records: DomainRecords<ForeignBundle>) {
    this.#records = records;
    this.#read();
    records.watch(() => {
      this.#read();
      for (const listener of this.#listeners) listener(this.#current);
    });
  }

  /** Their changes come from the feed, which is opened then. */
  static attach(options: DomainRecordsOptions, feed: FederationFeed): ForeignBundles {
    return new ForeignBundles(new DomainRecords(foreignBundleKind, options, feed));
  }

  /** Up to which revision of the bucket it is known. */
  get revision(): number {
    return this.#records.revision;
  }

  /** Resolves when all is known that another server knew at that revision; see BucketFeed. @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_* */
  async catchUp(revision: number): Promise<void> {
    await this.#records.catchUp(revision);
  }

  /** By trust domain name; a new map after each change. */
  current(): ReadonlyMap<string, Bundle> {
    return this.#current;
  }

  get(trustDomain: TrustDomain): Bundle | undefined {
    return this.#current.get(trustDomain.name);
  }

  /** In order of the trust domains' names. @throws TrustplaneError ERR_FEDERATION_PAGE */
  list(request: PageRequest): RecordPage<Bundle> {
    const page = this.#records.list(request);
    return { ...page, items: page.items.map(({ bundle }) => bundle) };
  }

  /** Calls the listener, which must not throw, after each change; returns the way to stop. */
  watch(listener: (bundles: ReadonlyMap<string, Bundle>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * @throws TrustplaneError ERR_BUNDLE_EXISTS, ERR_BUNDLE, ERR_FEDERATION_TRUST_DOMAIN, ERR_FEDERATION_TOO_LARGE,
   * ERR_FEDERATION_LIMIT, ERR_FEDERATION_CONFLICT, ERR_FEDERATION_RECORD, ERR_FEDERATION_CLOSED, ERR_STORE_*
   */
  async create(bundle: Bundle): Promise<Bundle> {
    const { trustDomain } = bundle;
    return await this.#change(trustDomain, (before) => {
      if (before === undefined) return acceptBundle(undefined, bundle);
      const message = `there is a bundle of ${trustDomain.name} already`;
      throw new TrustplaneError('ERR_BUNDLE_EXISTS', message);
    });
  }

  /**
   * Sets the fields of `edit`. What it makes has the sequence number of `edit` or none: it is not what
   * the other trust domain published under the number before.
   * @throws TrustplaneError as `set`, and ERR_BUNDLE_NOT_FOUND
   */
  async update(trustDomain: TrustDomain, edit: BundleEdit): Promise<Bundle> {
    return await this.#change(trustDomain, (before) => {
      if (before === undefined) throw this.#records.notFound(trustDomain);
      const edited = { ...before.bundle, ...edit };
      const isNumbered = 'sequenceNumber' in edit || bundlesEqual(edited, before.bundle);
      return acceptBundle(before, isNumbered ? edited : { ...edited, sequenceNumber: undefined });
    });
  }

  /**
   * Creates the bundle or puts it in the place of the one there is.
   * @param isReset takes its sequence number as it is, whatever was there
   * @throws TrustplaneError as `create` but ERR_BUNDLE_EXISTS, and ERR_BUNDLE_SEQUENCE
   */
  async set(bundle: Bundle, isReset: boolean = false): Promise<Bundle> {
    return await this.#change(bundle.trustDomain, (before) =>
      acceptBundle(isReset ? undefined : before, bundle),
    );
  }

  /**
   * From when this resolves nothing of the trust domain is trusted here. Also a record that cannot be read.
   * @throws TrustplaneError ERR_BUNDLE_NOT_FOUND, ERR_FEDERATION_TRUST_DOMAIN, ERR_FEDERATION_CLOSED, ERR_STORE_*
   */
  async delete(trustDomain: TrustDomain): Promise<void> {
    await this.#records.delete(trustDomain);
  }

  #read(): void {
    this.#current = new Map(
      this.#records.all().map(({ bundle }) => [bundle.trustDomain.name, bundle]),
    );
  }

  async #change(
    trustDomain: TrustDomain,
    edit: (before: ForeignBundle | undefined) => ForeignBundle,
  ): Promise<Bundle> {
    return (await this.#records.change(trustDomain, edit)).bundle;
  }
}
