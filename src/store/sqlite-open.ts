import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { damagedError, storeError } from './sqlite-errors.ts';
import { findLogDamage } from './sqlite-log-check.ts';
import { checkSchema, createSchema, migrateSchema } from './sqlite-schema.ts';

/** The checks are bounded for the sake of the start; each record is checked again as it is read. */
const MAX_FULL_CHECK_BYTES = 16 * 1024 * 1024;
const MAX_QUICK_CHECK_BYTES = 256 * 1024 * 1024;
const MAX_LOG_CHECK_BYTES = 64 * 1024 * 1024;

/** Exclusive: no other process may open it meanwhile, and no -shm file is needed to write. */
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
  accessSync(path, constants.R_OK | constants.W_OK);
  const bytes = statSync(path).size;
  if (bytes === 0) throw damagedError(path, 'it is empty');
  const logBytes = statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (logBytes <= MAX_LOG_CHECK_BYTES && logBytes > 0) checkLog(`${path}-wal`);
  const url = inspectionUrl(path, logBytes);
  try {
    check(url, path, bytes, trustDomain);
  } catch (error) {
    if (storeError(path, error).code !== 'ERR_STORE_FULL') throw error;
    url.searchParams.set('vfs', 'unix-none');
    check(url, path, bytes, trustDomain);
  }
}

function check(url: URL, path: string, bytes: number, trustDomain: string): void {
  const index = `${path}-shm`;
  const hadIndex = existsSync(index);
  const db = new DatabaseSync(url, { readOnly: true });
  try {
    // Without locks the index of the log can be in memory, which needs no room on the disk.
    if (url.searchParams.has('vfs')) db.exec('PRAGMA locking_mode = EXCLUSIVE');
    checkIntact(db, path, bytes);
    checkSchema(db, path, trustDomain);
  } finally {
    db.close();
    if (!hadIndex) rmSync(index, { force: true });
  }
}

/** Without a log to be read, `immutable` keeps SQLite from making any file. */
function inspectionUrl(path: string, logBytes: number): URL {
  const url = pathToFileURL(path);
  if (logBytes === 0) url.searchParams.set('immutable', '1');
  return url;
}

function checkLog(path: string): void {
  const damage = findLogDamage(readFileSync(path));
  if (damage !== undefined) throw damagedError(path, damage);
}

function checkIntact(db: DatabaseSync, path: string, bytes: number): void {
  if (bytes > MAX_QUICK_CHECK_BYTES) return;
  const check = bytes > MAX_FULL_CHECK_BYTES ? 'quick_check' : 'integrity_check';
  const problem = db.prepare(`PRAGMA ${check}(1)`).get()?.[check];
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
