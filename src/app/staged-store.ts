import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { Store } from '../store/index.ts';
import { openFileStore } from './bare-store.ts';
import type { Config } from './config.ts';
import { placeRestored } from './restored-state.ts';
import { databaseFile, restoredFolder } from './state-files.ts';

/** Files that are made aside and put in the place of those of the data directory all together. */
export interface StagedState {
  readonly folder: string;
  /** An empty embedded store among them; to be closed before `place`. */
  openStore(): Promise<Store>;
  /** From when this begins to resolve what was there before counts no more, whatever happens. */
  place(): Promise<void>;
}

/** Begins anew what was not placed before. The data directory has to be held. @throws TrustplaneError ERR_STORE_NOT_EMPTY */
export async function stageState(config: Config, isForced: boolean): Promise<StagedState> {
  await placeRestored(config);
  if (existsSync(databaseFile(config)) && !isForced) throw notEmpty(config);
  const ready = restoredFolder(config);
  const folder = `${ready}.new`;
  const database = path.join(folder, 'trustplane.db');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { mode: 0o700 });
  return {
    folder,
    openStore: () => openFileStore(config, database),
    async place() {
      requireClosed(database);
      await syncFolder(folder);
      await rename(folder, ready);
      await syncFolder(config.dataDir);
      await placeRestored(config);
    },
  };
}

/** All of a database that was closed is in its one file. */
function requireClosed(file: string): void {
  if (!existsSync(`${file}-wal`)) return;
  throw new TrustplaneError('ERR_STORE_UNAVAILABLE', `${file} could not be closed`);
}

function notEmpty({ dataDir }: Config): TrustplaneError {
  return new TrustplaneError(
    'ERR_STORE_NOT_EMPTY',
    `there is a state in ${dataDir} already; choose an empty directory, or --force to give it up`,
  );
}
