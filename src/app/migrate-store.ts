import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  type BucketDigest,
  backupBuckets,
  emptyStore,
  fillStore,
  requireWhole,
  type StateRecords,
} from '../backup/index.ts';
import { openDataDir } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { Store, StoredRecord } from '../store/index.ts';
import { openFileStore, openSharedBareStore } from './bare-store.ts';
import type { Config } from './config.ts';
import { markMoved, requireUnmoved, requireUnused } from './moved-store.ts';
import { stageState } from './staged-store.ts';
import { databaseFile } from './state-files.ts';

export interface MigrationRequest {
  readonly from: 'sqlite' | 'jetstream';
  /** Gives up what is in the other store. */
  readonly isForced: boolean;
  readonly onProgress: (done: BucketDigest) => void;
}

/**
 * Copies the whole state of a control plane whose servers do not run from its embedded store to the shared one
 * that the configuration names, or back, and marks where it came from, so that no server goes on with that.
 * @throws TrustplaneError ERR_CONFIG, ERR_DATA_DIR*, ERR_NATS_*, ERR_STORE_*
 */
export async function migrateStore(
  config: Config,
  { from, isForced, onProgress }: MigrationRequest,
): Promise<readonly BucketDigest[]> {
  const dataDir = openDataDir(config.dataDir);
  const era = randomBytes(8).toString('hex');
  try {
    return from === 'sqlite'
      ? await withStore(openEmbedded(config), async (source) => {
          const state = await readState(source);
          const digests = await withStore(openSharedBareStore(config, true), async (target) => {
            await requireUnused(target);
            if (isForced) await emptyStore(target, backupBuckets);
            return await fillStore(target, state, era, onProgress);
          });
          await markMoved(source, 'jetstream');
          return digests;
        })
      : await withStore(openSharedBareStore(config, false), async (source) => {
          await requireUnused(source);
          const state = await readState(source);
          const staged = await stageState(config, isForced);
          const digests = await withStore(staged.openStore(), (target) =>
            fillStore(target, state, era, onProgress),
          );
          await requireUnused(source);
          await staged.place();
          await markMoved(source, 'sqlite');
          return digests;
        });
  } finally {
    dataDir.close();
  }
}

async function withStore<T>(
  opening: Promise<Store>,
  use: (store: Store) => Promise<T>,
): Promise<T> {
  const store = await opening;
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

async function openEmbedded(config: Config): Promise<Store> {
  const file = databaseFile(config);
  if (existsSync(file)) return await openFileStore(config, file);
  throw new TrustplaneError('ERR_STORE_MISSING', `there is no database ${file}`);
}

/** What is to be copied. @throws TrustplaneError ERR_STORE_FILLING, ERR_STORE_MOVED, ERR_STORE_* */
async function readState(source: Store): Promise<StateRecords> {
  await requireWhole(source.bucket('leases'));
  await requireUnmoved(source);
  const state = new Map<(typeof backupBuckets)[number], ReadonlyMap<string, StoredRecord>>();
  for (const name of backupBuckets) {
    const { records } = await source.bucket(name).list('');
    state.set(name, new Map(records.map((record) => [record.key, record])));
  }
  return state;
}
