import { silentLog, systemClock } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { openSqliteStore, type Store } from '../store/index.ts';
import type { Config } from './config.ts';
import { createProcess } from './process.ts';
import { keyFolder } from './state-files.ts';

/** An embedded store in the file, without a server around it. @throws TrustplaneError ERR_STORE_* */
export async function openFileStore({ trustDomain }: Config, path: string): Promise<Store> {
  return await openSqliteStore({ path, trustDomain, clock: systemClock });
}

/** The store that servers share, without a server; made when `mayCreate` and it is missing. @throws TrustplaneError ERR_CONFIG, ERR_NATS_*, ERR_STORE_* */
export async function openSharedBareStore(config: Config, mayCreate: boolean): Promise<Store> {
  if (config.sharedStore === undefined) {
    const message = 'server.store: expected the configuration of the store that servers share';
    throw new TrustplaneError('ERR_CONFIG', message);
  }
  const { openSharedStore } = await import('./open-shared-store.ts');
  const process = { ...createProcess('error'), log: silentLog };
  try {
    // Without keys nobody was here before.
    const keys = mayCreate ? `${keyFolder(config)}.none` : keyFolder(config);
    const store = await openSharedStore(config, config.sharedStore, process, keys);
    return { bucket: (name) => store.bucket(name), close: () => process.closing.disposeAsync() };
  } catch (error) {
    await process.closing.disposeAsync();
    throw error;
  }
}
