import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { damagedError, storeError } from './sqlite-errors.ts';
import { checkSchema, createSchema, migrateSchema } from './sqlite-schema.ts';

/** Above this the whole check takes longer than a start may; records are checked as they are read. */
const MAX_CHECKED_BYTES = 64 * 1024 * 1024;

/** Exclusive: no other process may open it meanwhile, and no -shm file is needed. */
const SETTINGS = `
  PRAGMA locking_mode = EXCLUSIVE;
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA cache_size = -16384;
  PRAGMA journal_size_limit = 16777216;
  PRAGMA temp_store = MEMORY;
  PRAGMA trusted_schema = OFF;
  PRAGMA cell_size_check = ON;`;

/**
 * Opens the database at `path` or makes it (0600). An existing one is first looked at without
 * changing anything, so that a damaged, newer or foreign one is left as it was.
 * @throws TrustplaneError ERR_STORE_DAMAGED, ERR_STORE_SCHEMA, ERR_STORE_TRUST_DOMAIN,
 * ERR_STORE_FULL, ERR_STORE_READ_ONLY, ERR_STORE_UNAVAILABLE
 */
export function openDatabase(path: string, trustDomain: string): DatabaseSync {
  try {
    if (existsSync(path)) inspectDatabase(path, trustDomain);
    else createDatabase(path, trustDomain);
    return connect(path);
  } catch (error) {
    throw storeError(path, error);
  }
}

function connect(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  try {
    db.exec(SETTINGS);
    migrateSchema(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Makes the database aside and renames it, so that an empty or half-made file is never ours. */
function createDatabase(path: string, trustDomain: string): void {
  if (existsSync(`${path}-wal`)) {
    throw damagedError(path, `it is missing, but its log ${path}-wal is there`);
  }
  const temporary = `${path}.new`;
  rmSync(temporary, { force: true });
  closeSync(openSync(temporary, 'wx', 0o600));
  try {
    fillDatabase(temporary, trustDomain);
    sync(temporary);
    renameSync(temporary, path);
    sync(dirname(path));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function fillDatabase(path: string, trustDomain: string): void {
  using db = new DatabaseSync(path);
  db.exec('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF');
  createSchema(db, trustDomain);
  db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL');
}

function inspectDatabase(path: string, trustDomain: string): void {
  const bytes = statSync(path).size;
  if (bytes === 0) throw damagedError(path, 'it is empty');
  const index = `${path}-shm`;
  const hadIndex = existsSync(index);
  const db = new DatabaseSync(inspectionUrl(path), { readOnly: true });
  try {
    if (bytes <= MAX_CHECKED_BYTES) checkIntact(db, path);
    checkSchema(db, path, trustDomain);
  } finally {
    db.close();
    if (!hadIndex) rmSync(index, { force: true });
  }
}

/** Without a log to be read, `immutable` keeps SQLite from making any file. */
function inspectionUrl(path: string): URL {
  const url = pathToFileURL(path);
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false });
  if (log === undefined || log.size === 0) url.searchParams.set('immutable', '1');
  return url;
}

function checkIntact(db: DatabaseSync, path: string): void {
  const problem = db.prepare('PRAGMA quick_check(1)').get()?.['quick_check'];
  if (problem !== 'ok') throw damagedError(path, String(problem));
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
