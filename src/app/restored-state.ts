import { existsSync } from 'node:fs';
import { copyFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Log } from '../ops/index.ts';
import type { Config } from './config.ts';
import {
  databaseFile,
  journalFile,
  keyFolder,
  restoredFolder,
  serverIdFile,
} from './state-files.ts';

/** The files of a state that is made ready, by where each goes. */
function placesOf(config: Config) {
  const folder = restoredFolder(config);
  return {
    database: { from: path.join(folder, 'trustplane.db'), to: databaseFile(config) },
    journal: { from: path.join(folder, 'facts.journal'), to: journalFile(config) },
    serverId: { from: path.join(folder, 'server-id'), to: serverIdFile(config) },
    keys: { from: path.join(folder, 'keys'), to: keyFolder(config) },
    sealKey: { from: path.join(folder, 'seal.key'), to: config.sealKeyFile },
  };
}

/**
 * Puts a state that a restore has made ready in its place; once it is ready nothing of the former one counts.
 * Does nothing when there is none; after a crash at any instant it goes on. The data directory has to be held.
 */
export async function placeRestored(config: Config, log?: Log): Promise<void> {
  const folder = restoredFolder(config);
  if (!existsSync(folder)) return;
  const { database, journal, serverId, keys, sealKey } = placesOf(config);
  if (existsSync(sealKey.from)) await moveFile(sealKey.from, sealKey.to);
  if (existsSync(keys.from)) {
    await rm(keys.to, { recursive: true, force: true });
    await rename(keys.from, keys.to);
  }
  for (const { from, to } of [serverId, journal]) if (existsSync(from)) await rename(from, to);
  if (existsSync(database.from)) {
    // The log of the former database is none of this one.
    for (const end of ['-wal', '-shm']) await rm(`${database.to}${end}`, { force: true });
    await rename(database.from, database.to);
  }
  await rm(folder, { recursive: true });
  log?.info({ dataDir: config.dataDir }, 'a restored state is in its place');
}

/** Also onto another file system. */
async function moveFile(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EXDEV')) throw error;
    await copyFile(from, `${to}.new`);
    await rename(`${to}.new`, to);
    await rm(from);
  }
}
