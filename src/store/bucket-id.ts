import { createHash } from 'node:crypto';
import type { BucketName } from './store.ts';

/** The name of a bucket where all trust domains share one name space; `meta` is what a store keeps of itself. */
export function buildBucketName(trustDomain: string, bucket: BucketName | 'meta'): string {
  const hash = createHash('sha256').update(trustDomain).digest('hex').slice(0, 16);
  return `trustplane_${hash}_${bucket}`;
}
