import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import * as fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { messageOf, TrustplaneError } from '../spiffe/errors.ts';
import { TrustDomain } from '../spiffe/trust-domain.ts';
import { buildBucketName } from './bucket-id.ts';
import { unpackRecords } from './packed-records.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { openDatabase } from './sqlite-open.ts';
import { migrateSchema } from './sqlite-schema.ts';
import { openSqliteStore, SqliteStore, startSqliteWorker } from './sqlite-store.ts';
import type { Store } from './store.ts';

const TRUST_DOMAIN = 'example.org';
const RECORDS = 120;
let root: string;
/** A database that was closed, and one as a killed process leaves it, with all records in its log. */
let closed: string;
let killed: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'trustplane-open-'));
  closed = join(root, 'closed');
  killed = join(root, 'killed');
  mkdirSync(closed);
  const store = await open(join(closed, 'store.db'));
  for (let i = 0; i < RECORDS; i++) await store.bucket('entries').put(`k${i}`, valueOf(i));
  cpSync(closed, killed, { recursive: true });
  await store.close();
});
afterAll(() => rmSync(root, { recursive: true }));

describe('a database that is not there', () => {
  it('is made with mode 0600, as is its log', async () => {
    const folder = mkdtempSync(join(root, 'new-'));
    const store = await open(join(folder, 'store.db'));
    await store.bucket('entries').put('a', valueOf(1));
    expect(modesIn(folder)).toEqual({ 'store.db': 0o600, 'store.db-wal': 0o600 });
    await store.close();
    expect(modesIn(folder)).toEqual({ 'store.db': 0o600 });
  });

  it('is made in spite of what a killed attempt left', async () => {
    const folder = mkdtempSync(join(root, 'new-'));
    writeFileSync(join(folder, 'store.db.new'), 'half');
    await (await open(join(folder, 'store.db'))).close();
    expect(readdirSync(folder)).toEqual(['store.db']);
  });

  it('commits durably: write-ahead log, synchronous=FULL', () => {
    using db = openDatabase(join(mkdtempSync(join(root, 'new-')), 'store.db'), TRUST_DOMAIN);
    expect(db.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
    expect(db.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 2 });
  });

  it('cannot be made in a folder that is not there', async () => {
    const missing = join(root, 'missing', 'store.db');
    expect(await refusalOf(missing)).toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
      message: expect.stringContaining(missing),
    });
  });
});

describe('a database that is not as it was left', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(root, 'case-'));
    path = join(folder, 'store.db');
  });

  it.each<[string, (file: string) => void]>([
    ['empty', (file) => truncateSync(file)],
    ['cut in half', (file) => truncateSync(file, statSync(file).size / 2)],
    ['cut by a page', (file) => truncateSync(file, statSync(file).size - 4096)],
    ['cut within the header', (file) => truncateSync(file, 50)],
    [
      'text',
      (file) => writeFileSync(file, 'not a database, but long enough to be one\n'.repeat(200)),
    ],
    ['zeros', (file) => writeFileSync(file, Buffer.alloc(statSync(file).size))],
    ['without its first page', (file) => overwrite(file, 0, Buffer.alloc(4096))],
    ['without a later page', (file) => overwrite(file, 3 * 4096, Buffer.alloc(4096, 0xff))],
  ])('is refused and left alone: %s', async (_, damage) => {
    cpSync(closed, folder, { recursive: true });
    damage(path);
    expect(await refusalOf(path)).toMatchObject({
      code: 'ERR_STORE_DAMAGED',
      message: expect.stringContaining(path),
    });
  });

  it('is refused when it is missing and its log is there', async () => {
    cpSync(killed, folder, { recursive: true });
    rmSync(path);
    expect(await refusalOf(path)).toMatchObject({
      code: 'ERR_STORE_DAMAGED',
      message: expect.stringContaining(path),
    });
  });

  it.each([
    ['its header', 20],
    ['a frame in the middle', 200_000],
  ])('is refused when its log is damaged in %s', async (_, offset) => {
    cpSync(killed, folder, { recursive: true });
    flip(`${path}-wal`, offset, 1);
    expect(await refusalOf(path)).toMatchObject({
      code: 'ERR_STORE_DAMAGED',
      message: expect.stringContaining(`${path}-wal is damaged`),
    });
  });

  it('opens when its log lacks the end of the last transaction, as after a crash', async () => {
    cpSync(killed, folder, { recursive: true });
    truncateSync(`${path}-wal`, statSync(`${path}-wal`).size - 100);
    const store = await open(path);
    expect((await store.bucket('entries').list('')).records).toHaveLength(RECORDS - 1);
    await store.close();
  });

  it('is refused when a newer trustplane wrote it', async () => {
    cpSync(closed, folder, { recursive: true });
    overwrite(path, 60, Buffer.from([0, 0, 0, 99]));
    expect(await refusalOf(path)).toMatchObject({
      code: 'ERR_STORE_SCHEMA',
      message: expect.stringContaining('has schema version 99'),
    });
  });

  it('is refused when another program wrote it', async () => {
    using db = new DatabaseSync(path);
    db.exec('CREATE TABLE theirs (a)');
    db.close();
    expect(await refusalOf(path)).toMatchObject({
      code: 'ERR_STORE_SCHEMA',
      message: expect.stringContaining('another program'),
    });
  });

  it('is refused when it belongs to another trust domain, closed or killed', async () => {
    for (const state of [closed, killed]) {
      cpSync(state, folder, { recursive: true });
      expect(await refusalOf(path, 'other.example')).toMatchObject({
        code: 'ERR_STORE_TRUST_DOMAIN',
        message: expect.stringMatching(/example\.org, not to other\.example/u),
      });
    }
  });

  it('is refused when it is a folder', async () => {
    mkdirSync(path);
    expect(await refusalOf(path)).toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
  });

  it('is refused while it is open', async () => {
    const store = await open(path);
    await store.bucket('entries').put('a', valueOf(1));
    expect(await refusalOf(path)).toMatchObject({
      code: 'ERR_STORE_UNAVAILABLE',
      message: expect.stringContaining('in use'),
    });
    await store.bucket('entries').put('b', valueOf(1));
    await store.close();
  });

  it('gives no record whose content changed', async () => {
    cpSync(closed, folder, { recursive: true });
    alter(path, `UPDATE records SET value = x'76' WHERE key = 'k7'`);
    const store = await open(path);
    const entries = store.bucket('entries');
    await expect(entries.get('k7')).rejects.toMatchObject({ code: 'ERR_STORE_DAMAGED' });
    await expect(entries.get('k7')).rejects.toThrow(`the record k7 of entries`);
    await expect(entries.list('')).rejects.toMatchObject({ code: 'ERR_STORE_DAMAGED' });
    expect((await entries.get('k8'))?.revision).toBe(9);
    await store.close();
  });

  it('is refused when a table is not what its schema version says', async () => {
    cpSync(closed, folder, { recursive: true });
    alter(path, 'ALTER TABLE records RENAME COLUMN deleted_at TO deleted_az');
    expect(await refusalOf(path)).toMatchObject({
      code: 'ERR_STORE_DAMAGED',
      message: expect.stringContaining('not those of schema version 2'),
    });
  });

  it('never gives a wrong record, whichever byte changed', () => {
    const size = statSync(join(closed, 'store.db')).size;
    const anyFlip = fc.record({ at: fc.nat(size - 1), mask: fc.integer({ min: 1, max: 255 }) });
    fc.assert(
      fc.property(anyFlip, ({ at, mask }) => {
        cpSync(closed, folder, { recursive: true });
        flip(path, at, mask);
        expect(['same', 'refused']).toContain(readAll(path));
      }),
      { numRuns: 300 },
    );
  });

  it('never gives a wrong record, whichever byte of its log changed', () => {
    const size = statSync(join(killed, 'store.db-wal')).size;
    const anyFlip = fc.record({ at: fc.nat(size - 1), mask: fc.integer({ min: 1, max: 255 }) });
    fc.assert(
      fc.property(anyFlip, ({ at, mask }) => {
        cpSync(killed, folder, { recursive: true });
        flip(`${path}-wal`, at, mask);
        // The last transaction cannot be told from one that a crash interrupted.
        expect(['same', 'refused', 'without the last']).toContain(readAll(path));
      }),
      { numRuns: 200 },
    );
  });
});

describe('the schema', () => {
  it('moves forward step by step, all or nothing', () => {
    using db = new DatabaseSync(':memory:');
    migrateSchema(db, ['CREATE TABLE a (x)']);
    migrateSchema(db, ['CREATE TABLE a (x)', 'CREATE TABLE b (x)', 'INSERT INTO b VALUES (7)']);
    expect(db.prepare('SELECT x FROM b').get()).toEqual({ x: 7 });
    const steps = ['', '', '', 'CREATE TABLE c (x)', 'not SQL'];
    expect(() => migrateSchema(db, steps)).toThrow(/syntax error/u);
    expect(db.isTransaction).toBe(false);
    expect(db.prepare('PRAGMA user_version').get()).toEqual({ user_version: 3 });
    expect(() => db.prepare('SELECT * FROM c')).toThrow(/no such table/u);
  });

  it('names buckets after the trust domain', () => {
    expect(buildBucketName('example.org', 'entries')).toMatch(/^trustplane_[0-9a-f]{16}_entries$/u);
    expect(buildBucketName('example.org', 'entries')).not.toBe(
      buildBucketName('example.com', 'entries'),
    );
  });
});

describe('a database that cannot grow', () => {
  it('refuses what has no room, keeps what it had, and goes on when there is room', () => {
    const path = join(mkdtempSync(join(root, 'full-')), 'store.db');
    const db = openDatabase(path, TRUST_DOMAIN);
    const database = new SqliteDatabase(db, path, TRUST_DOMAIN);
    const put = (key: string): string | undefined => {
      const value = Buffer.alloc(100_000);
      const write = { type: 'put', bucket: 'entries', key, value, expected: undefined } as const;
      const answer = database.write([write], 0)[0];
      return answer?.type === 'failed' ? answer.code : answer?.type;
    };
    db.exec('PRAGMA max_page_count = 50');
    expect(put('a')).toBe('put');
    expect(put('b')).toBe('ERR_STORE_FULL');
    expect(put('b')).toBe('ERR_STORE_FULL');
    expect(database.read({ type: 'get', bucket: 'entries', key: 'b' })).toMatchObject({
      record: undefined,
    });
    db.exec('PRAGMA max_page_count = 1000');
    expect(put('b')).toBe('put');
    expect(database.read({ type: 'get', bucket: 'entries', key: 'b' })).toMatchObject({
      record: { revision: 2 },
    });
    database.close();
  });
});

describe('a store whose thread dies', () => {
  it('says so to everybody who waits, now and later', async () => {
    const path = join(mkdtempSync(join(root, 'dies-')), 'store.db');
    const worker = startSqliteWorker({ path, trustDomain: TRUST_DOMAIN });
    await once(worker, 'message');
    const failures: TrustplaneError[] = [];
    const store = new SqliteStore(worker, { ...options(path), onFailure: (e) => failures.push(e) });
    const entries = store.bucket('entries');
    await entries.put('a', valueOf(1));
    const events = entries.watch('', 0, new AbortController().signal)[Symbol.asyncIterator]();
    await events.next();
    const watched = events.next();
    const pending = entries.put('b', valueOf(2));
    const terminated = worker.terminate();
    for (const promise of [watched, pending, pending.catch(() => entries.get('a'))]) {
      await expect(promise).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
    }
    await terminated;
    expect(failures).toMatchObject([{ code: 'ERR_STORE_UNAVAILABLE' }]);
    await store.close();
    expect(readAll(path)).toBeDefined();
  });
});

/** What opening is refused with; no byte, name or time of a file may have changed by it. */
async function refusalOf(path: string, trustDomain: string = TRUST_DOMAIN): Promise<unknown> {
  const before = stateOf(dirname(path));
  const refusal = await openSqliteStore({
    ...options(path),
    trustDomain: TrustDomain.parse(trustDomain),
  }).then(
    (store) => store.close(),
    (error: unknown) => error,
  );
  expect(stateOf(dirname(path))).toEqual(before);
  return refusal;
}

function stateOf(folder: string): object[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((name) => {
    const stats = statSync(join(folder, name));
    const bytes = stats.isFile() ? readFileSync(join(folder, name)) : new Uint8Array();
    const hash = createHash('sha256').update(bytes).digest('hex');
    return { name, hash, mtimeMs: stats.mtimeMs, size: stats.size, mode: stats.mode };
  });
}

/** What somebody sees who opens the database and reads every record. */
function readAll(path: string): string {
  try {
    const db = openDatabase(path, TRUST_DOMAIN);
    try {
      return compare(new SqliteDatabase(db, path, TRUST_DOMAIN));
    } finally {
      db.close();
    }
  } catch (error) {
    return error instanceof TrustplaneError ? 'refused' : `threw ${messageOf(error)}`;
  }
}

function compare(database: SqliteDatabase): string {
  const found = new Map<string, Uint8Array>();
  const answer = database.read({ type: 'list', bucket: 'entries', prefix: '' }, (pack) => {
    for (const { key, value } of unpackRecords(pack)) found.set(key, value);
  });
  if (answer.type !== 'list') return 'refused';
  for (let i = 0; i < RECORDS; i++) {
    const value = found.get(`k${i}`);
    if (value === undefined && i === RECORDS - 1 && found.size === i) return 'without the last';
    if (value === undefined || !valueOf(i).equals(value)) return `k${i} is wrong`;
    const one = database.read({ type: 'get', bucket: 'entries', key: `k${i}` });
    if (one.type !== 'get' || one.record?.revision !== i + 1) return `k${i} is not found`;
  }
  return found.size === RECORDS && answer.revision === RECORDS ? 'same' : 'there is more';
}

function valueOf(i: number): Buffer {
  return Buffer.from(`value ${i} `.repeat(1 + (i % 50)));
}

function alter(path: string, sql: string): void {
  using db = new DatabaseSync(path);
  db.exec(sql);
}

function flip(path: string, at: number, mask: number): void {
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(at) ^ mask, at);
  writeFileSync(path, bytes);
}

function overwrite(path: string, at: number, replacement: Buffer): void {
  const bytes = readFileSync(path);
  replacement.copy(bytes, at);
  writeFileSync(path, bytes);
}

function modesIn(folder: string): Record<string, number> {
  const modeOf = (name: string): number => statSync(join(folder, name)).mode & 0o777;
  return Object.fromEntries(readdirSync(folder).map((name) => [name, modeOf(name)]));
}

function options(path: string): { path: string; trustDomain: TrustDomain; clock: FakeClock } {
  return { path, trustDomain: TrustDomain.parse(TRUST_DOMAIN), clock: new FakeClock() };
}

async function open(path: string): Promise<Store> {
  return await openSqliteStore(options(path));
}
