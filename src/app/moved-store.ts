import { TrustplaneError } from '../spiffe/index.ts';
import type { Store } from '../store/index.ts';

/** Of the bucket `leases`: where the state of this store went. */
const MOVED = 'moved';

/** Says that the state is in another store from now on. @throws TrustplaneError ERR_STORE_* */
export async function markMoved(store: Store, to: string): Promise<void> {
  await store.bucket('leases').put(MOVED, Buffer.from(to));
}

/** Refuses a store whose state went elsewhere. @throws TrustplaneError ERR_STORE_MOVED, ERR_STORE_* */
export async function requireUnmoved(store: Store): Promise<void> {
  const moved = await store.bucket('leases').get(MOVED);
  if (moved === undefined) return;
  const to = Buffer.from(moved.value).toString();
  throw new TrustplaneError(
    'ERR_STORE_MOVED',
    `the state of this store was moved to ${to}; say so in server.store, or move it back with "trustplane store migrate --from ${to}"`,
  );
}
