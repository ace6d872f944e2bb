import type { Bucket, StoredRecord, StoreSnapshot } from './store.ts';

/** `Bucket.list`, for a bucket that reads its records part by part. @throws TrustplaneError as `Bucket.scan` */
export async function listByScan(
  bucket: Pick<Bucket, 'scan'>,
  prefix: string,
): Promise<StoreSnapshot> {
  const parts: (readonly StoredRecord[])[] = [];
  const revision = await bucket.scan(prefix, (some) => void parts.push(some));
  return { records: parts.flat(), revision };
}
