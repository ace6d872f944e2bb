import { sameBytes, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { PageRequest, RecordPage } from '../store/index.ts';
import { DomainRecords, type DomainRecordsOptions } from './domain-records.ts';
import type { FederationFeed } from './federation-feed.ts';
import type { FederationRelationship } from './relationship.ts';
import { relationshipKind } from './relationship-record.ts';
import { type TrustTerms, termsOf } from './trust-terms.ts';

/** The fields of a relationship an update sets; those left out stay. */
export type RelationshipEdit = Partial<Omit<FederationRelationship, 'trustDomain'>>;

/** The foreign trust domains whose bundles are to be fetched, and from where: kept in the store, seen live. */
export class Relationships {
  readonly #records: DomainRecords<FederationRelationship>;
  #current: TrustTerms;

  private constructor(records: DomainRecords<FederationRelationship>) {
    this.#records = records;
    this.#current = this.#read();
    records.watch(() => {
      this.#current = this.#read();
    });
  }

  /** Up to which revision of the bucket it is known. */
  get revision(): number {
    return this.#records.revision;
  }

  /** Resolves when all is known that another server knew at that revision; see BucketFeed. @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_* */
  async catchUp(revision: number): Promise<void> {
    await this.#records.catchUp(revision);
  }

  /** A new value after each change. */
  current(): TrustTerms {
    return this.#current;
  }

  /** Calls the listener, which must not throw, after each change; returns the way to stop. */
  watch(listener: (terms: TrustTerms) => void): () => void {
    return this.#records.watch(() => listener(this.#current));
  }

  /** Their changes come from the feed, which is opened then. */
  static attach(options: DomainRecordsOptions, feed: FederationFeed): Relationships {
    return new Relationships(new DomainRecords(relationshipKind, options, feed));
  }

  get(trustDomain: TrustDomain): FederationRelationship | undefined {
    return this.#records.get(trustDomain);
  }

  /** @throws TrustplaneError ERR_RELATIONSHIP_NOT_FOUND */
  require(trustDomain: TrustDomain): FederationRelationship {
    const relationship = this.get(trustDomain);
    if (relationship !== undefined) return relationship;
    throw this.#records.notFound(trustDomain);
  }

  /** In order of the trust domains' names. */
  all(): readonly FederationRelationship[] {
    return this.#records.all();
  }

  /** Whether the store has it at this instant; what is seen here may lag. @throws TrustplaneError ERR_STORE_* */
  async isStored(trustDomain: TrustDomain): Promise<boolean> {
    return await this.#records.isStored(trustDomain);
  }

  /** In order of the trust domains' names. @throws TrustplaneError ERR_FEDERATION_PAGE */
  list(request: PageRequest): RecordPage<FederationRelationship> {
    return this.#records.list(request);
  }

  /**
   * @throws TrustplaneError ERR_RELATIONSHIP_EXISTS, ERR_FEDERATION_TRUST_DOMAIN, ERR_FEDERATION_LIMIT,
   * ERR_FEDERATION_CONFLICT, ERR_FEDERATION_RECORD, ERR_FEDERATION_CLOSED, ERR_STORE_*
   */
  async create(relationship: FederationRelationship): Promise<FederationRelationship> {
    const { trustDomain } = relationship;
    return await this.#records.change(trustDomain, (before) => {
      if (before === undefined) return relationship;
      const message = `there is a relationship with ${trustDomain.name} already; federation update changes it`;
      throw new TrustplaneError('ERR_RELATIONSHIP_EXISTS', message);
    });
  }

  /** Creates the relationship or puts it in the place of the one there is. @throws TrustplaneError as `create` */
  async set(relationship: FederationRelationship): Promise<FederationRelationship> {
    return await this.#records.change(relationship.trustDomain, (before) =>
      before !== undefined && isSame(before, relationship) ? before : relationship,
    );
  }

  /**
   * Puts the relationship in the place of `before`, and of no other; undefined: there is none yet.
   * @throws TrustplaneError as `create`, and ERR_RELATIONSHIP_CHANGED
   */
  async replace(
    relationship: FederationRelationship,
    before: FederationRelationship | undefined,
  ): Promise<FederationRelationship> {
    const { trustDomain } = relationship;
    return await this.#records.change(trustDomain, (stored) => {
      const isAsExpected =
        stored === undefined || before === undefined ? stored === before : isSame(stored, before);
      if (isAsExpected) return relationship;
      const message = `the relationship with ${trustDomain.name} was changed by others meanwhile`;
      throw new TrustplaneError('ERR_RELATIONSHIP_CHANGED', message);
    });
  }

  /** Sets the fields of `edit`. @throws TrustplaneError as `create`, and ERR_RELATIONSHIP_NOT_FOUND */
  async update(trustDomain: TrustDomain, edit: RelationshipEdit): Promise<FederationRelationship> {
    return await this.#records.change(trustDomain, (before) => {
      if (before === undefined) throw this.#records.notFound(trustDomain);
      const after = { ...before, ...edit };
      return isSame(before, after) ? before : after;
    });
  }

  /** Also a record that cannot be read. @throws TrustplaneError ERR_RELATIONSHIP_NOT_FOUND, … as `create` */
  async delete(trustDomain: TrustDomain): Promise<void> {
    await this.#records.delete(trustDomain);
  }

  #read(): TrustTerms {
    const terms = this.#records
      .all()
      .map((each) => [each.trustDomain.name, termsOf(each)] as const);
    return { terms: new Map(terms), unknown: new Set(this.#records.damaged) };
  }
}

function isSame(one: FederationRelationship, other: FederationRelationship): boolean {
  return sameBytes(relationshipKind.encode(one), relationshipKind.encode(other));
}
