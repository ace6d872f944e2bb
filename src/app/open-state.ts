import { existsSync, readdirSync } from 'node:fs';
import { openDataDir } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { openSqliteStore, type Store } from '../store/index.ts';
import type { Config } from './config.ts';
import { keepState } from './keep-state.ts';
import type { Process } from './process.ts';
import { placeRestored } from './restored-state.ts';
import { loadServerId } from './server-id.ts';
import { databaseFile, keyFolder } from './state-files.ts';
import { StoreHealth } from './store-health.ts';

/**
 * Opens the data directory and the store in it, with the journal of what must not go back; closed with `process`.
 * @throws TrustplaneError ERR_DATA_DIR*, ERR_STORE_*, ERR_JOURNAL_*, ERR_FILE_*
 */
export async function openState(config: Config, process: Process): Promise<Store> {
  const dataDir = openDataDir(config.dataDir);
  process.closing.defer(() => dataDir.close());
  await placeRestored(config, process.log);
  const serverId = await loadServerId(config, config.sharedStore !== undefined);
  return await keepState(config, process, await openStore(config, process), serverId);
}

async function openStore(config: Config, process: Process): Promise<Store> {
  if (config.sharedStore !== undefined) {
    const { openSharedStore } = await import('./open-shared-store.ts');
    return await openSharedStore(config, config.sharedStore, process, keyFolder(config));
  }
  const { log, metrics, clock, closing, fail } = process;
  const file = databaseFile(config);
  requireDatabase(file, keyFolder(config));
  const health = new StoreHealth(process);
  const store = await openSqliteStore({
    path: file,
    trustDomain: config.trustDomain,
    clock,
    log,
    metrics,
    onWrites: (fault) => health.note(fault),
    onFailure: fail,
  });
  closing.defer(() => store.close());
  health.probe(store.bucket('leases'));
  return store;
}

/** Sealed keys without the database that says what they are for: something was lost, not never there. */
function requireDatabase(file: string, keys: string): void {
  if (existsSync(file) || !existsSync(keys) || readdirSync(keys).length === 0) return;
  throw new TrustplaneError(
    'ERR_STORE_MISSING',
    `there is no database ${file}, but ${keys} holds private keys of one; restore the database from a backup, or begin anew with an empty data directory`,
  );
}
