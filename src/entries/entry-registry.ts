import type { Log, Metrics } from '../ops/index.ts';
import {
  type Clock,
  messageOf,
  type RegistrationEntry,
  type SuspensionSource,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type Bucket, BucketFeed, type PageRequest, unlessConflict } from '../store/index.ts';
import { AgentClosures } from './agent-closures.ts';
import type { AgentEntries, AttestedNode } from './authorized-entries.ts';
import { DepartedEntries, type DepartedEntry } from './departed-entries.ts';
import { draftOf, type EntryDraft, type EntryStamp, parseEntry } from './entry.ts';
import type { EntryClaim } from './entry-claims.ts';
import { quote } from './entry-error.ts';
import { candidates, compileFilter, type EntryFilter } from './entry-filter.ts';
import { type EntryPage, listEntries } from './entry-page.ts';
import { encodeEntryRecord, entryKey } from './entry-record.ts';
import { EntryView } from './entry-view.ts';
import { WriteQueue } from './write-queue.ts';

/** How often a write is tried again after other servers changed the same entry. */
const MAX_ATTEMPTS = 8;
/** Writes of one entry that wait for each other. */
const MAX_WAITING_WRITES = 1_000;

export interface EntryRegistryOptions {
  /** The bucket `entries`. */
  readonly bucket: Bucket;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Whom agents are not entitled to. Default: nothing is suspended. */
  readonly suspensions?: SuspensionSource;
}

/** What `create` did: made the entry, or found one with the same parent, SPIFFE ID and selectors. */
export interface CreatedEntry {
  readonly entry: RegistrationEntry;
  readonly isNew: boolean;
}

/** An entry as it stands in the store. */
export interface StandingEntry {
  readonly entry: RegistrationEntry;
  /** Of its last write: another one is another state. */
  readonly revision: number;
}

/** The fields an update sets; those left out stay. */
export type EntryEdit = Partial<Omit<EntryDraft, 'id'>>;

/**
 * The registration entries of a trust domain. Writes are compare-and-set on one key and resolve when
 * they are durable and this registry's own view has them; those of one entry are done one after the
 * other, so that only other servers can be in their way. Reads are from memory.
 */
export class EntryRegistry {
  readonly #options: EntryRegistryOptions;
  readonly #view: EntryView;
  readonly #closures: AgentClosures;
  readonly #feed: BucketFeed;
  readonly #departed: DepartedEntries;
  /** By entry ID; creations by key. */
  readonly #writes: WriteQueue = new WriteQueue(MAX_WAITING_WRITES, busy);
  #following: Promise<void> = Promise.resolve();

  private constructor(options: EntryRegistryOptions) {
    this.#options = options;
    this.#view = new EntryView({ ...options, onExpired: (claim) => void this.#discard(claim) });
    this.#feed = new BucketFeed({
      ...options,
      what: 'entries',
      target: this.#view,
      closedCode: 'ERR_ENTRY_CLOSED',
    });
    const { clock, suspensions } = options;
    this.#departed = new DepartedEntries(this.#view.graph, clock);
    this.#closures = new AgentClosures(this.#view.graph, clock, {
      agents: suspensions,
      entries: this.#view.suspended,
    });
  }

  /**
   * Reads all entries and follows their changes until `close`.
   * @throws TrustplaneError ERR_ENTRY_RECORD for a stored entry that cannot be read, ERR_STORE_*
   */
  static async load(options: EntryRegistryOptions): Promise<EntryRegistry> {
    const registry = new EntryRegistry(options);
    await registry.#feed.loadInParts((some) => registry.#view.take(some));
    registry.#view.onLoaded();
    await Promise.all(
      Array.from(registry.#view.claims.leftovers(), (claim) => registry.#discard(claim)),
    );
    registry.#following = registry.#feed.follow();
    return registry;
  }

  get(id: string): RegistrationEntry | undefined {
    return this.#view.graph.get(id);
  }

  /** Those with the SPIFFE ID of this path. */
  withPath(path: string): Iterable<RegistrationEntry> {
    return this.#view.graph.withPath(path);
  }

  /** Those that expired or were deleted lately; at most a thousand. */
  departed(): readonly DepartedEntry[] {
    return this.#departed.all();
  }

  /** The entry with the ID, as what a change of it may be tied to. */
  standing(id: string): StandingEntry | undefined {
    return this.#view.claims.of(id)[0];
  }

  /** The entry with this parent, SPIFFE ID and selectors. */
  standingLike(entry: Parameters<typeof entryKey>[0]): StandingEntry | undefined {
    return this.#standingAt(entryKey(entry));
  }

  /** All that stand, in no particular order. */
  all(): Iterable<RegistrationEntry> {
    return this.#view.graph.entries;
  }

  /** @throws TrustplaneError ERR_ENTRY_PAGE */
  list(filter: EntryFilter, page: PageRequest): EntryPage {
    const bytesOf = ({ id }: RegistrationEntry): number => this.#view.claims.of(id)[0]?.bytes ?? 0;
    return listEntries(this.#view.graph, filter, page, bytesOf);
  }

  count(filter: EntryFilter = {}): number {
    const { graph } = this.#view;
    if (Object.keys(filter).length === 0) return graph.size;
    const isMeant = compileFilter(filter);
    let count = 0;
    for (const entry of candidates(graph, filter) ?? graph.entries) if (isMeant(entry)) count++;
    return count;
  }

  /** The live closure of one agent; close it when the agent is gone. */
  authorizedEntries(agent: AttestedNode): AgentEntries {
    return this.#closures.open(agent);
  }

  /**
   * @throws TrustplaneError those of `parseEntry`, ERR_ENTRY_TOO_LARGE, ERR_ENTRY_ID_TAKEN,
   * ERR_ENTRY_CONFLICT, ERR_ENTRY_CLOSED, ERR_STORE_*
   */
  async create(draft: EntryDraft): Promise<CreatedEntry> {
    const createdAt = this.#options.clock.now();
    const entry = this.#parse(draft, {
      id: draft.id ?? this.#makeId(),
      revisionNumber: 0,
      createdAt,
    });
    const key = entryKey(entry);
    return await this.#writes.run(key, () => this.#create(entry, key));
  }

  /**
   * Sets the fields of `edit` and raises the revision number. `expected`: nothing unless the entry
   * stands at this store revision.
   * @throws TrustplaneError as `create`, and ERR_ENTRY_NOT_FOUND, ERR_ENTRY_EXISTS, ERR_ENTRY_CHANGED
   */
  async update(id: string, edit: EntryEdit, expected?: number): Promise<RegistrationEntry> {
    return await this.#writes.run(id, () => this.#update(id, edit, expected));
  }

  /**
   * Deletes the entry and returns it; `expected` as in `update`.
   * @throws TrustplaneError ERR_ENTRY_NOT_FOUND, ERR_ENTRY_CHANGED, ERR_ENTRY_CONFLICT, ERR_STORE_*
   */
  async delete(id: string, expected?: number): Promise<RegistrationEntry> {
    return await this.#writes.run(id, () => this.#delete(id, expected));
  }

  /** Up to which revision of the bucket it is known. */
  get revision(): number {
    return this.#feed.revision;
  }

  /** Resolves when all is known that another server knew at that revision; see BucketFeed. @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_* */
  async catchUp(revision: number): Promise<void> {
    await this.#feed.catchUp(revision);
  }

  /** Resolves when all is known that is in the store now. @throws as `catchUp` */
  async catchUpNow(): Promise<void> {
    await this.#feed.catchUpNow();
  }

  /** Stops following; waiting writes reject with ERR_ENTRY_CLOSED. */
  async close(): Promise<void> {
    this.#feed.close();
    this.#closures.close();
    this.#view.close();
    await this.#following;
  }

  async #create(entry: RegistrationEntry, key: string): Promise<CreatedEntry> {
    // Another server may have deleted what seems to be in the way.
    if ((this.#standingAt(key) ?? this.get(entry.id)) !== undefined) await this.catchUpNow();
    let expected = this.#view.claims.at(key)?.revision ?? 0;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const same = this.#standingAt(key);
      if (same !== undefined) return { entry: same.entry, isNew: false };
      if (this.get(entry.id) !== undefined) throw idTaken(entry.id);
      const revision = await this.#put(key, { entry, firstRevision: undefined }, expected);
      if (revision !== undefined) {
        if (await this.#lost(key, revision)) throw idTaken(entry.id);
        return { entry, isNew: true };
      }
      expected = await this.#catchUp(key);
    }
    throw contested(entry.id);
  }

  async #update(id: string, edit: EntryEdit, expected?: number): Promise<RegistrationEntry> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const claim = this.#standing(id, expected);
      const { createdAt, revisionNumber } = claim.entry;
      const stamp = { id, createdAt, revisionNumber: revisionNumber + 1 };
      const entry = this.#parse({ ...draftOf(claim.entry), ...edit }, stamp);
      const key = entryKey(entry);
      const isDone =
        key === claim.key ? await this.#rewrite(claim, entry) : await this.#move(claim, entry, key);
      if (isDone) return entry;
    }
    throw contested(id);
  }

  async #delete(id: string, expected?: number): Promise<RegistrationEntry> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const claim = this.#standing(id, expected);
      const others = this.#view.claims.of(id).slice(1);
      // Those behind it first: else they would stand for a moment, or for good after a crash.
      for (const other of others) await this.#remove(other);
      if (await this.#remove(claim)) return claim.entry;
      await this.#catchUp(claim.key);
    }
    throw contested(id);
  }

  #parse(draft: EntryDraft, stamp: EntryStamp): RegistrationEntry {
    const { trustDomain, clock } = this.#options;
    return parseEntry(draft, stamp, { trustDomain, now: clock.now() });
  }

  #makeId(): string {
    const hex = Buffer.from(this.#options.randomBytes(16)).toString('hex');
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/u, '$1-$2-$3-$4-');
  }

  #standing(id: string, expected?: number): EntryClaim {
    const claim = this.#view.claims.of(id)[0];
    if (claim !== undefined) {
      if (expected === undefined || claim.revision === expected) return claim;
      const message = `entry ${quote(id)} was changed by others meanwhile`;
      throw new TrustplaneError('ERR_ENTRY_CHANGED', message);
    }
    throw new TrustplaneError('ERR_ENTRY_NOT_FOUND', `there is no entry with the ID ${quote(id)}`);
  }

  #standingAt(key: string): EntryClaim | undefined {
    const claim = this.#view.claims.at(key);
    return claim !== undefined && this.#view.claims.stands(claim) ? claim : undefined;
  }

  async #rewrite(claim: EntryClaim, entry: RegistrationEntry): Promise<boolean> {
    const { key, firstRevision } = claim;
    const revision = await this.#put(key, { entry, firstRevision }, claim.revision);
    if (revision === undefined) {
      await this.#catchUp(key);
      return false;
    }
    return !(await this.#lost(key, revision));
  }

  /**
   * The entry's identity changes and with it its key. The new record is written first, with a higher
   * revision number and the same beginning: it stands at once, and the old one, hidden by it, is
   * deleted then, or after a crash by the next `load`.
   */
  async #move(claim: EntryClaim, entry: RegistrationEntry, key: string): Promise<boolean> {
    if (this.#standingAt(key) !== undefined) await this.catchUpNow();
    const same = this.#standingAt(key);
    if (same !== undefined) throw exists(same.entry.id);
    const { firstRevision } = claim;
    const expected = this.#view.claims.at(key)?.revision ?? 0;
    const revision = await this.#put(key, { entry, firstRevision }, expected);
    if (revision === undefined) {
      await this.#catchUp(key);
      return false;
    }
    if (await this.#lost(key, revision)) return false;
    await this.#discard(claim);
    return true;
  }

  /** Undefined when the key is not at the expected revision. */
  async #put(
    key: string,
    record: Parameters<typeof encodeEntryRecord>[0],
    expected: number,
  ): Promise<number | undefined> {
    return unlessConflict(() => this.#options.bucket.put(key, encodeEntryRecord(record), expected));
  }

  /** Waits for the own write to arrive; true (and it is taken back) when another claim of the ID stands. */
  async #lost(key: string, revision: number): Promise<boolean> {
    await this.#feed.reached(revision);
    const claim = this.#view.claims.at(key);
    if (claim?.revision !== revision || this.#view.claims.stands(claim)) return false;
    await this.#remove(claim);
    return true;
  }

  /** After a conflict: waits until the view has what is at the key, and returns its revision (0: nothing). */
  async #catchUp(key: string): Promise<number> {
    const stored = await this.#options.bucket.get(key);
    if (stored !== undefined) await this.#feed.reached(stored.revision);
    // Deleted, and the view has yet to hear of it: it will with a revision after its present one.
    else if (this.#view.claims.at(key) !== undefined)
      await this.#feed.reached(this.#feed.revision + 1);
    return stored?.revision ?? 0;
  }

  /** Deletes a record if it is still the one known; false when it is not. */
  async #remove({ key, revision }: EntryClaim): Promise<boolean> {
    const deleted = await unlessConflict(() => this.#options.bucket.delete(key, revision));
    if (deleted !== undefined) await this.#feed.reached(deleted);
    return deleted !== undefined;
  }

  /** Deletes a record that stands no more; if that fails, the next `load` does it. */
  async #discard({ key, revision }: EntryClaim): Promise<void> {
    try {
      await unlessConflict(() => this.#options.bucket.delete(key, revision));
    } catch (error) {
      this.#options.log.warn(
        { key, revision, error: messageOf(error) },
        'an entry that is gone is still stored',
      );
    }
  }
}

function idTaken(id: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_ENTRY_ID_TAKEN',
    `id: expected one that is free; got ${quote(id)}, the ID of another entry`,
  );
}

function exists(id: string): TrustplaneError {
  const message = `the entry: expected a parent, SPIFFE ID and selectors that no other has; entry ${quote(id)} has the same`;
  return new TrustplaneError('ERR_ENTRY_EXISTS', message);
}

function busy(id: string): TrustplaneError {
  const message = `${MAX_WAITING_WRITES} writes of entry ${quote(id)} wait for each other, the most allowed; try again`;
  return new TrustplaneError('ERR_ENTRY_CONFLICT', message);
}

function contested(id: string): TrustplaneError {
  const message = `entry ${quote(id)} was changed by other servers ${MAX_ATTEMPTS} times meanwhile; try again`;
  return new TrustplaneError('ERR_ENTRY_CONFLICT', message);
}
