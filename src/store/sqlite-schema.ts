import { DatabaseSync } from 'node:sqlite';
import { TrustplaneError } from '../spiffe/errors.ts';
import { buildBucketName } from './bucket-id.ts';
import { damagedError } from './sqlite-errors.ts';
import { bucketNames } from './store.ts';

/** "trpl": marks the file as ours (PRAGMA application_id). */
const APPLICATION_ID = 0x7472_706c;

/**
 * The step at index n brings a database from schema version n (PRAGMA user_version) to n + 1. Steps
 * are only ever added.
 *
 * A record with `deleted_at` is a delete marker. `checksum` is CRC-32 of what the record says, because
 * SQLite finds damage of its own structure but not of content.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE trust_domain (name TEXT NOT NULL) STRICT;
   CREATE TABLE buckets (
     id INTEGER PRIMARY KEY,
     name TEXT NOT NULL UNIQUE,
     revision INTEGER NOT NULL DEFAULT 0,
     horizon INTEGER NOT NULL DEFAULT 0
   ) STRICT;
   CREATE TABLE records (
     bucket INTEGER NOT NULL,
     key TEXT NOT NULL,
     revision INTEGER NOT NULL,
     value BLOB,
     deleted_at INTEGER,
     checksum INTEGER NOT NULL
   ) STRICT;
   CREATE UNIQUE INDEX records_by_key ON records (bucket, key);
   CREATE UNIQUE INDEX records_by_revision ON records (bucket, revision);
   CREATE INDEX markers_by_age ON records (deleted_at) WHERE deleted_at IS NOT NULL;`,
  // Suspensions, and entries and revocations with fields that earlier releases would leave out, unread.
  'SELECT 1',
];

/**
 * Refuses a database that is not ours to open; reads only.
 * @throws TrustplaneError ERR_STORE_SCHEMA, ERR_STORE_TRUST_DOMAIN, ERR_STORE_DAMAGED
 */
export function checkSchema(db: DatabaseSync, path: string, trustDomain: string): void {
  const application = pragma(db, 'application_id');
  if (application !== APPLICATION_ID) {
    throw new TrustplaneError(
      'ERR_STORE_SCHEMA',
      `${path} is a database of another program (application_id ${application}, expected ${APPLICATION_ID}); move it away`,
    );
  }
  const version = pragma(db, 'user_version');
  if (version > MIGRATIONS.length) {
    throw new TrustplaneError(
      'ERR_STORE_SCHEMA',
      `the database ${path} has schema version ${version}, and this trustplane knows versions up to ${MIGRATIONS.length}; run the newer trustplane that wrote it`,
    );
  }
  checkTables(db, path, MIGRATIONS.slice(0, version));
  const owner = db.prepare('SELECT name FROM trust_domain').get()?.['name'];
  if (owner !== trustDomain) {
    throw new TrustplaneError(
      'ERR_STORE_TRUST_DOMAIN',
      `the database ${path} belongs to the trust domain ${String(owner)}, not to ${trustDomain}; choose another data directory, or that trust domain`,
    );
  }
}

/** SQLite's own checks do not know what the tables should be: a changed name in them is a sound database to it. */
function checkTables(db: DatabaseSync, path: string, steps: readonly string[]): void {
  using sound = new DatabaseSync(':memory:');
  migrateSchema(sound, steps);
  if (readTables(db) === readTables(sound)) return;
  throw damagedError(path, `its tables are not those of schema version ${steps.length}`);
}

function readTables(db: DatabaseSync): string {
  const tables = db.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY rowid');
  return JSON.stringify(tables.all());
}

/** Brings the schema to the newest version, all or nothing. */
export function migrateSchema(db: DatabaseSync, steps: readonly string[] = MIGRATIONS): void {
  const version = pragma(db, 'user_version');
  if (version >= steps.length) return;
  try {
    db.exec(`BEGIN IMMEDIATE; ${steps.slice(version).join(';')};
      PRAGMA user_version = ${steps.length}; COMMIT`);
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

/** Makes the schema in an empty database. */
export function createSchema(db: DatabaseSync, trustDomain: string): void {
  migrateSchema(db);
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  db.prepare('INSERT INTO trust_domain (name) VALUES (?)').run(trustDomain);
  const addBucket = db.prepare('INSERT INTO buckets (name) VALUES (?)');
  for (const bucket of bucketNames) addBucket.run(buildBucketName(trustDomain, bucket));
}

function pragma(db: DatabaseSync, name: 'application_id' | 'user_version'): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
}
