import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { TrustplaneError } from '../spiffe/errors.ts';
import { buildBucketName } from './bucket-id.ts';
import type { ChangePage } from './change-feed.ts';
import { type PackedRecords, packRecords } from './packed-records.ts';
import { damagedError, failedAnswer } from './sqlite-errors.ts';
import type { Answer, ReadOperation, WriteOperation } from './sqlite-protocol.ts';
import { type BucketName, bucketNames, type StoredRecord, type StoreEvent } from './store.ts';
import { checkExpected, checkReplayable, storeLimits } from './store-rules.ts';

/** One answer holds at most this much of a replay. */
const MAX_PAGE_BYTES = 4 * 1024 * 1024;
const MAX_PAGE_EVENTS = 1024;
const MAX_COMPACTED_AT_ONCE = 1024;

const COLUMNS = 'key, revision, value, deleted_at, checksum';
/** Sorts behind every key that begins with a prefix it is put after. */
const AFTER_KEYS = '\u007f';

interface BucketState {
  readonly id: number;
  revision: number;
  /** Deletes up to this revision may be forgotten. */
  horizon: number;
}

type Row = Record<string, SQLOutputValue>;

/** The records in an open database. Synchronous: it lives in the worker. */
export class SqliteDatabase {
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #sql: Statements;
  #buckets: ReadonlyMap<BucketName, BucketState>;

  constructor(db: DatabaseSync, path: string, trustDomain: string) {
    this.#db = db;
    this.#path = path;
    this.#sql = prepareStatements(db);
    this.#buckets = new Map(
      bucketNames.map((name) => [name, this.#loadBucket(buildBucketName(trustDomain, name))]),
    );
  }

  /** Performs all in one transaction; when that fails, all of them failed and nothing changed. */
  write(operations: readonly WriteOperation[], now: number): readonly Answer[] {
    const before = new Map([...this.#buckets].map(([name, state]) => [name, { ...state }]));
    try {
      this.#db.exec('BEGIN IMMEDIATE');
      const answers = operations.map((operation) => this.#apply(operation, now));
      this.#compact(now);
      this.#saveBuckets(before);
      this.#db.exec('COMMIT');
      return answers;
    } catch (error) {
      this.#buckets = before;
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      return operations.map(() => failedAnswer(this.#path, error));
    }
  }

  /** What a list finds goes to `onPack` as it is found. */
  read(operation: ReadOperation, onPack: (pack: PackedRecords) => void = () => {}): Answer {
    try {
      return this.#perform(operation, onPack);
    } catch (error) {
      return failedAnswer(this.#path, error);
    }
  }

  close(): void {
    this.#db.close();
  }

  #apply(operation: WriteOperation, now: number): Answer {
    const { bucket, key, type } = operation;
    const state = this.#bucket(bucket);
    const current = Number(this.#sql.revisionOf.get(state.id, key)?.['revision'] ?? 0);
    try {
      checkExpected(key, current, operation.expected);
    } catch (conflict) {
      return failedAnswer(this.#path, conflict);
    }
    if (type === 'delete' && current === 0) return { type, revision: undefined };
    const revision = ++state.revision;
    const value = type === 'put' ? operation.value : null;
    const deletedAt = type === 'delete' ? now : null;
    const checksum = checksumOf(bucket, key, revision, value, deletedAt);
    this.#sql.upsert.run(state.id, key, revision, value, deletedAt, checksum);
    return { type, revision };
  }

  /** Forgets deletes that are older than the store remembers them. */
  #compact(now: number): void {
    const due = this.#sql.dueMarkers.all(now - storeLimits.deleteMarkerMs, MAX_COMPACTED_AT_ONCE);
    for (const { bucket, key, revision } of due) {
      const state = [...this.#buckets.values()].find(({ id }) => id === bucket);
      if (state === undefined || typeof key !== 'string') throw this.#damagedRow('a marker');
      this.#sql.forget.run(state.id, key);
      state.horizon = Math.max(state.horizon, Number(revision));
    }
  }

  #saveBuckets(before: ReadonlyMap<BucketName, BucketState>): void {
    for (const [name, { id, revision, horizon }] of this.#buckets) {
      const old = before.get(name);
      if (old?.revision === revision && old.horizon === horizon) continue;
      this.#sql.saveBucket.run(revision, horizon, id);
    }
  }

  #perform(operation: ReadOperation, onPack: (pack: PackedRecords) => void): Answer {
    const { type, bucket } = operation;
    if (type === 'get') return { type, record: this.#get(bucket, operation.key) };
    if (type === 'changes') {
      return { type, page: this.#changes(bucket, operation.prefix, operation.after) };
    }
    for (const pack of packRecords(this.#live(bucket, operation.prefix))) onPack(pack);
    return { type, revision: this.#bucket(bucket).revision };
  }

  #get(bucket: BucketName, key: string): StoredRecord | undefined {
    const row = this.#sql.get.get(this.#bucket(bucket).id, key);
    return row === undefined ? undefined : recordOf(this.#eventOf(bucket, row));
  }

  *#live(bucket: BucketName, prefix: string): Iterable<StoredRecord> {
    const { id } = this.#bucket(bucket);
    for (const row of this.#sql.list.iterate(id, prefix, prefix + AFTER_KEYS)) {
      const record = recordOf(this.#eventOf(bucket, row));
      if (record !== undefined) yield record;
    }
  }

  #changes(bucket: BucketName, prefix: string, after: number): ChangePage {
    const { id, revision, horizon } = this.#bucket(bucket);
    checkReplayable(after, horizon, revision);
    const events: StoreEvent[] = [];
    let bytes = 0;
    for (const row of this.#sql.changes.iterate(id, after, prefix, prefix + AFTER_KEYS)) {
      const event = this.#eventOf(bucket, row);
      if (events.length >= MAX_PAGE_EVENTS || bytes >= MAX_PAGE_BYTES) {
        return { events, upTo: events.at(-1)?.revision ?? after, isLast: false };
      }
      events.push(event);
      bytes += event.type === 'put' ? event.value.length : 0;
    }
    return { events, upTo: revision, isLast: true };
  }

  /** The change a row records. @throws TrustplaneError ERR_STORE_DAMAGED */
  #eventOf(bucket: BucketName, row: Row): StoreEvent {
    const { key, revision, value, deleted_at: deletedAt, checksum } = row;
    if (typeof key !== 'string' || typeof revision !== 'number') {
      throw this.#damagedRow(`a record of ${bucket}`);
    }
    const bytes = value instanceof Uint8Array ? value : null;
    const instant = typeof deletedAt === 'number' ? deletedAt : null;
    if (checksumOf(bucket, key, revision, bytes, instant) !== checksum) {
      throw this.#damagedRow(`the record ${key} of ${bucket}`);
    }
    if (instant !== null) return { type: 'delete', key, revision };
    return { type: 'put', key, revision, value: bytes ?? new Uint8Array() };
  }

  #bucket(name: BucketName): BucketState {
    const state = this.#buckets.get(name);
    if (state === undefined) throw new TrustplaneError('ERR_INTERNAL', `no bucket ${name}`);
    return state;
  }

  #loadBucket(name: string): BucketState {
    const row = this.#sql.loadBucket.get(name);
    if (row === undefined) throw this.#damagedRow(`the bucket ${name}`);
    return {
      id: Number(row['id']),
      revision: Number(row['revision']),
      horizon: Number(row['horizon']),
    };
  }

  #damagedRow(what: string): TrustplaneError {
    return damagedError(this.#path, `${what} is not what was written`);
  }
}

interface Statements {
  readonly loadBucket: StatementSync;
  readonly saveBucket: StatementSync;
  readonly revisionOf: StatementSync;
  readonly upsert: StatementSync;
  readonly dueMarkers: StatementSync;
  readonly forget: StatementSync;
  readonly get: StatementSync;
  readonly list: StatementSync;
  readonly changes: StatementSync;
}

function prepareStatements(db: DatabaseSync): Statements {
  return {
    loadBucket: db.prepare('SELECT id, revision, horizon FROM buckets WHERE name = ?'),
    saveBucket: db.prepare('UPDATE buckets SET revision = ?, horizon = ? WHERE id = ?'),
    revisionOf: db.prepare(
      'SELECT revision FROM records WHERE bucket = ? AND key = ? AND deleted_at IS NULL',
    ),
    upsert: db.prepare(
      `INSERT INTO records (bucket, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (bucket, key) DO UPDATE SET revision = excluded.revision, value = excluded.value,
         deleted_at = excluded.deleted_at, checksum = excluded.checksum`,
    ),
    dueMarkers: db.prepare(
      `SELECT bucket, key, revision FROM records WHERE deleted_at <= ? ORDER BY deleted_at LIMIT ?`,
    ),
    forget: db.prepare('DELETE FROM records WHERE bucket = ? AND key = ?'),
    get: db.prepare(
      `SELECT ${COLUMNS} FROM records WHERE bucket = ? AND key = ? AND deleted_at IS NULL`,
    ),
    list: db.prepare(
      `SELECT ${COLUMNS} FROM records
       WHERE bucket = ? AND key >= ? AND key < ? AND deleted_at IS NULL ORDER BY key`,
    ),
    changes: db.prepare(
      `SELECT ${COLUMNS} FROM records
       WHERE bucket = ? AND revision > ? AND key >= ? AND key < ? ORDER BY revision`,
    ),
  };
}

function recordOf(event: StoreEvent): StoredRecord | undefined {
  if (event.type === 'delete') return undefined;
  return { key: event.key, value: event.value, revision: event.revision };
}

/** CRC-32 of all that a row says. */
function checksumOf(
  bucket: BucketName,
  key: string,
  revision: number,
  value: Uint8Array | null,
  deletedAt: number | null,
): number {
  const head = crc32(`${bucket} ${key} ${revision} ${deletedAt ?? 'live'} `);
  return value === null ? head : crc32(value, head);
}
