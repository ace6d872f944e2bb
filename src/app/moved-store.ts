import { systemClock } from '../ops/index.ts';
import { findRunningServer } from '../servers/index.ts';
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

/** Refuses a store that a server uses, which would go on with what is no more. @throws TrustplaneError ERR_STORE_IN_USE, ERR_STORE_* */
export async function requireUnused(store: Store): Promise<void> {
  const serverId = await findRunningServer(store.bucket('leases'), systemClock);
  if (serverId === undefined) return;
  throw new TrustplaneError(
    'ERR_STORE_IN_USE',
    `the server ${serverId} uses this store; stop all servers of the control plane first`,
  );
}
