import type { Log, Metrics } from '../ops/index.ts';
import type { Clock } from '../spiffe/index.ts';
import {
  type Bucket,
  type BucketName,
  type LastingRecords,
  type Store,
  type StoredRecord,
  type StoreEvent,
  unlessConflict,
} from '../store/index.ts';
import { decideRecord, type EraOrder, orderOfEras, ruleFor, STAND } from './decide-record.ts';
import type { FactHead } from './fact-index.ts';
import type { FactJournal } from './fact-journal.ts';
import type { JournalChange } from './journal-line.ts';
import { readEra, type StoreEra, writeEra } from './store-era.ts';

/** No key begins so: what it lists is empty and says the revision. */
const NOTHING = '-.';
/** How long it is remembered that a record was deleted: backups that are older bring it back. */
const DELETION_MS = 60 * 86_400_000;
/** How often an assertion that others disturbed is begun anew. */
const MAX_ROUNDS = 16;
/** Facts that are read of a bucket before they are written. */
const NOTE_AT_ONCE = 1_000;

export interface FactKeeperOptions {
  readonly store: Store;
  readonly journal: FactJournal;
  /** Of several of one bucket the first whose prefix fits a key counts. */
  readonly rules: readonly LastingRecords[];
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Names an era: 16 hex digits. */
  readonly makeEra: () => string;
}

/** A bucket that is behind what was seen of it. */
export interface LostRange {
  readonly bucket: BucketName;
  /** What it has now, and what was seen. */
  readonly from: number;
  readonly to: number;
}

/** What an assertion found, and did. */
export interface AssertedFacts {
  readonly lost: readonly LostRange[];
  /** Records that were put back, or deleted again. */
  readonly healed: number;
}

/** Brings store and journal together: what either learned later the other learns. */
export class FactKeeper {
  readonly #options: FactKeeperOptions;
  readonly #rollbacks;
  readonly #healed;
  #era = '';
  readonly #doubts = new Map<BucketName, LostRange>();
  /** To which revision a bucket was set back. */
  #setBackTo: ReadonlyMap<BucketName, number> = new Map();
  /** What the store was before, while it gets back what it lost. */
  #healing: StoreEra['healing'];

  constructor(options: FactKeeperOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#rollbacks = metrics.counter(
      'trustplane_store_rollbacks_total',
      'Times the store was found to have lost changes that it had acknowledged.',
    );
    this.#healed = metrics.counter(
      'trustplane_journal_healed_total',
      'Records that the store had lost and got back, by bucket.',
      ['bucket'],
    );
  }

  /** The buckets of which something is remembered. */
  get buckets(): readonly BucketName[] {
    return [...new Set(this.#options.rules.map(({ bucket }) => bucket))];
  }

  /** Whether all records of the bucket are remembered, or deletions alone. */
  keepsAll(bucket: BucketName): boolean {
    return this.#options.rules.some((rule) => rule.bucket === bucket && rule.keeps === 'all');
  }

  /** Up to which revision the bucket was seen. */
  seen(bucket: BucketName): number {
    return this.#options.journal.seen(bucket);
  }

  /**
   * Resolves when a change of the store is remembered, if it is one of those.
   * @throws TrustplaneError ERR_JOURNAL_WRITE
   */
  async note(bucket: BucketName, event: StoreEvent): Promise<void> {
    const { journal } = this.#options;
    const changes = this.#changesOf(bucket, event);
    journal.saw(bucket, event.revision);
    if (changes.length > 0) await journal.note(this.#isKnown(bucket, event) ? [] : changes);
  }

  /** The same, of what others changed. */
  noteSoon(bucket: BucketName, event: StoreEvent): void {
    this.#options.journal.saw(bucket, event.revision);
    if (this.#isKnown(bucket, event)) return;
    const changes = this.#changesOf(bucket, event);
    // The journal tells of it when it cannot be written.
    if (changes.length > 0) this.#options.journal.note(changes).catch(() => {});
  }

  /** Says that a bucket which was at revision `to` was set back to `from`, whatever it has come to since. */
  doubt(bucket: BucketName, from: number, to: number): void {
    const known = this.#doubts.get(bucket)?.from ?? from;
    this.#doubts.set(bucket, { bucket, from: Math.min(from, known), to });
  }

  /**
   * Gives the store back what it lost, and takes in what it learned. One call at a time.
   * @throws TrustplaneError ERR_STORE_*, ERR_JOURNAL_*
   */
  async assert(): Promise<AssertedFacts> {
    const lost: LostRange[] = [];
    let healed = 0;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const outcome = await this.#assertOnce();
      lost.push(...outcome.lost);
      healed += outcome.healed;
      if (outcome.isSettled) break;
    }
    this.#tell(lost, healed);
    return { lost, healed };
  }

  /** Not settled: the store was changed by others, or set back, meanwhile. */
  async #assertOnce(): Promise<AssertedFacts & { readonly isSettled: boolean }> {
    const { store, journal } = this.#options;
    const leases = store.bucket('leases');
    const found = await readEra(leases);
    const lost = await this.#findLost(found);
    if (lost.length > 0 || found?.era !== this.#era) {
      this.#setBackTo = new Map(lost.map(({ bucket, from }) => [bucket, from]));
    }
    this.#doubts.clear();
    const era = await this.#openEra(leases, found, lost.length > 0);
    this.#era = era.era;
    this.#healing = era.healing?.by === journal.id ? era.healing : undefined;
    let healed = 0;
    let isSettled = true;
    const seen: JournalChange[] = [];
    for (const bucket of this.buckets) {
      const outcome = await this.#assertBucket(bucket);
      healed += outcome.healed;
      isSettled &&= outcome.isSettled;
      seen.push({ type: 'seen', bucket, revision: outcome.revision });
    }
    if (!isSettled) return { lost, healed, isSettled };
    await journal.note([{ type: 'era', era: era.era }, ...seen]);
    const after =
      this.#healing === undefined
        ? await readEra(leases)
        : await writeEra(leases, { era: era.era }, era);
    this.#healing = undefined;
    return { lost, healed, isSettled: after?.era === era.era };
  }

  async #findLost(found: StoreEra | undefined): Promise<readonly LostRange[]> {
    const { store, journal } = this.#options;
    if (journal.era === undefined) return [];
    const order = orderOfEras(journal.eras, found?.era, journal.era);
    if (order === 'unknown') return [];
    const lost: LostRange[] = [];
    for (const bucket of this.buckets) {
      const { revision } = await store.bucket(bucket).list(NOTHING);
      const doubt = this.#doubts.get(bucket);
      const from = Math.min(revision, doubt?.from ?? revision);
      const to = Math.max(journal.seen(bucket), doubt?.to ?? 0);
      if (from < to || (order === 'later' && to > 0)) lost.push({ bucket, from, to });
    }
    return lost;
  }

  /** A store that lost something counts anew: its revisions from then on are not those that were seen. */
  async #openEra(leases: Bucket, found: StoreEra | undefined, isLost: boolean): Promise<StoreEra> {
    const { journal, makeEra } = this.#options;
    if (found !== undefined && !isLost) return found;
    const healing = isLost ? { from: found?.era, by: journal.id } : undefined;
    const begun = await writeEra(leases, { era: makeEra(), healing }, found);
    if (begun !== undefined) return begun;
    // Another server was first: revisions of its era are not ours to compare.
    const theirs = await readEra(leases);
    return theirs ?? (await this.#openEra(leases, undefined, isLost));
  }

  async #assertBucket(bucket: BucketName): Promise<{
    readonly healed: number;
    readonly revision: number;
    readonly isSettled: boolean;
  }> {
    const { journal } = this.#options;
    const { fresh, doubtful, revision } = await this.#compare(bucket);
    for (let begin = 0; begin < fresh.length; begin += NOTE_AT_ONCE) {
      await journal.note(fresh.slice(begin, begin + NOTE_AT_ONCE));
    }
    let healed = 0;
    let isSettled = true;
    for (const [key, stored] of doubtful) {
      const outcome = await this.#settle(bucket, key, stored, revision);
      if (outcome === 'healed') healed++;
      else if (outcome === 'changed') isSettled = false;
    }
    if (healed > 0) this.#healed.inc({ bucket }, healed);
    return { healed, revision, isSettled };
  }

  /** What the store has that is not remembered as it is, and what is remembered and not as it is there. */
  async #compare(bucket: BucketName): Promise<Comparison> {
    const { store, journal } = this.#options;
    const inner = store.bucket(bucket);
    const facts = journal.of(bucket);
    const fresh: JournalChange[] = [];
    const doubtful = new Map<string, StoredRecord | undefined>();
    const missing = new Set(facts.keys());
    const take = (record: StoredRecord): void => {
      missing.delete(record.key);
      const known = facts.get(record.key);
      if (this.#isLater(bucket, record, known))
        fresh.push(...this.#changesOf(bucket, putOf(record)));
      // In an era in which nothing was lost it can only be what was there before the last change.
      else if (known?.era !== this.#era) doubtful.set(record.key, record);
    };
    if (!this.keepsAll(bucket)) return await this.#compareDeleted(inner, facts);
    const revision = await inner.scan('', (some) => some.forEach(take));
    for (const key of missing) {
      const known = facts.get(key);
      if (known?.era !== this.#era) doubtful.set(key, undefined);
      else if (!known.isDeleted && known.revision <= revision)
        fresh.push(...this.#changesOf(bucket, { type: 'delete', key, revision }));
    }
    return { fresh, doubtful, revision };
  }

  /** Where deletions alone are remembered, those records alone are looked for. */
  async #compareDeleted(inner: Bucket, facts: ReadonlyMap<string, FactHead>): Promise<Comparison> {
    const { revision } = await inner.list(NOTHING);
    const doubtful = new Map<string, StoredRecord | undefined>();
    for (const [key, { era }] of facts) {
      if (era !== this.#era) doubtful.set(key, await inner.get(key));
    }
    return { fresh: [], doubtful, revision };
  }

  /** Whether the record came after what is known, for all that can be told. */
  #isLater(bucket: BucketName, { revision }: StoredRecord, known: FactHead | undefined): boolean {
    if (known === undefined) return true;
    if (known.era === this.#era) return revision > known.revision;
    const isComparable = this.#orderOf(known.era) === 'same';
    return isComparable && this.#capped(bucket, revision) >= known.revision;
  }

  /** Brings one record and what is remembered of it together; `changed`: others changed it meanwhile. */
  async #settle(
    bucket: BucketName,
    key: string,
    stored: StoredRecord | undefined,
    bucketRevision: number,
  ): Promise<'stands' | 'healed' | 'changed'> {
    const { journal, store, clock } = this.#options;
    const inner = store.bucket(bucket);
    const rule = this.#ruleOf(bucket, key);
    const fact = await journal.read(bucket, key);
    if (rule === undefined || fact === undefined) return 'stands';
    const isOver = (fact.expiresAt ?? Number.POSITIVE_INFINITY) <= clock.now();
    const order = this.#orderOf(fact.era);
    const place = { order, bucketRevision: this.#capped(bucket, bucketRevision) };
    const decision = isOver ? STAND : decideRecord(rule, fact, stored, place);
    if (decision.type === 'stand') {
      await this.#noteAnew(bucket, key, stored, bucketRevision);
      return 'stands';
    }
    const expected = stored?.revision ?? 0;
    const { type } = decision;
    const revision = await unlessConflict(() =>
      type === 'put' ? inner.put(key, decision.value, expected) : inner.delete(key, expected),
    );
    if (revision === undefined) return 'changed';
    await this.note(
      bucket,
      type === 'put' ? { ...decision, type, key, revision } : { type, key, revision },
    );
    return 'healed';
  }

  /** What stands is remembered from now on. */
  async #noteAnew(
    bucket: BucketName,
    key: string,
    stored: StoredRecord | undefined,
    bucketRevision: number,
  ): Promise<void> {
    const event: StoreEvent =
      stored === undefined ? { type: 'delete', key, revision: bucketRevision } : putOf(stored);
    await this.note(bucket, event);
  }

  /** How facts of an era stand to what the store holds. */
  #orderOf(era: string): EraOrder {
    if (era === this.#era) return 'same';
    if (this.#healing === undefined) return 'unknown';
    return orderOfEras(this.#options.journal.eras, this.#healing.from, era);
  }

  /** What was written after the store was set back is not what was written at that revision before. */
  #capped(bucket: BucketName, revision: number): number {
    return Math.min(revision, this.#setBackTo.get(bucket) ?? revision);
  }

  #ruleOf(bucket: BucketName, key: string): LastingRecords | undefined {
    return ruleFor(this.#options.rules, bucket, key);
  }

  #isKnown(bucket: BucketName, { key, revision }: StoreEvent): boolean {
    const known = this.#options.journal.at(bucket, key);
    return known?.era === this.#era && known.revision >= revision;
  }

  #changesOf(bucket: BucketName, event: StoreEvent): readonly JournalChange[] {
    const { clock, journal } = this.#options;
    const { key, revision } = event;
    const rule = this.#ruleOf(bucket, key);
    if (rule === undefined) return [];
    const common = { bucket, key, era: this.#era, revision };
    const known = journal.at(bucket, key);
    const forget: JournalChange = { type: 'forget', bucket, key };
    if (event.type === 'delete') {
      // Of what ends by itself it does not matter.
      if (known?.isDeleted === false && known.expiresAt !== undefined) return [forget];
      const expiresAt = clock.now() + DELETION_MS;
      return [{ type: 'fact', ...common, expiresAt, value: undefined }];
    }
    if (rule.keeps === 'deletions') return known === undefined ? [] : [forget];
    const expiresAt = rule.endOf(key, event.value);
    return [{ type: 'fact', ...common, expiresAt, value: event.value }];
  }

  #tell(lost: readonly LostRange[], healed: number): void {
    const { log } = this.#options;
    for (const range of lost) {
      log.error(
        range,
        'the store went back to an earlier revision: changes up to the later one may be missing; what was revoked, banned or spent is put back',
      );
    }
    if (lost.length > 0) this.#rollbacks.inc();
    if (healed > 0) log.error({ records: healed }, 'records that the store had lost were put back');
  }
}

interface Comparison {
  readonly fresh: readonly JournalChange[];
  readonly doubtful: ReadonlyMap<string, StoredRecord | undefined>;
  readonly revision: number;
}

function putOf({ key, value, revision }: StoredRecord): StoreEvent {
  return { type: 'put', key, value, revision };
}
