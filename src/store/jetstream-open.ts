import type { JetStreamStoreOptions } from './jetstream-options.ts';
import type { Store } from './store.ts';

/**
 * Opens the store of one trust domain in JetStream, where several servers share it.
 * @throws TrustplaneError ERR_STORE_UNSAFE, ERR_STORE_MISSING, ERR_STORE_TRUST_DOMAIN, ERR_STORE_SCHEMA,
 * ERR_STORE_DAMAGED, ERR_STORE_FULL, ERR_STORE_UNAVAILABLE
 */
export async function openJetStreamStore(options: JetStreamStoreOptions): Promise<Store> {
  // Who has no such store is spared the client's 10 MB.
  const { openJetStream } = await import('./jetstream-store.ts');
  return await openJetStream(options);
}
