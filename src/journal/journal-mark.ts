import { type Bucket, unlessConflict } from '../store/index.ts';

const ID = /^[0-9a-f]{16}$/u;

/**
 * Says in the bucket `leases` which journal a server has; returns false when it had another before, and this
 * one is new: then what the other knew is not asserted. @throws TrustplaneError ERR_STORE_*
 */
export async function markJournal(
  bucket: Bucket,
  serverId: string,
  journal: { readonly id: string; readonly isNew: boolean },
): Promise<boolean> {
  const key = `journal.${serverId}`;
  const stored = await bucket.get(key);
  const former = Buffer.from(stored?.value ?? []).toString('latin1');
  if (former === journal.id) return true;
  await unlessConflict(() => bucket.put(key, Buffer.from(journal.id), stored?.revision ?? 0));
  return !journal.isNew || !ID.test(former);
}
