import type { Bucket } from '../../src/store/index.ts';

/** A bucket with some operations replaced. */
export function overBucket(bucket: Bucket, operations: Partial<Bucket>): Bucket {
  return {
    get: (key) => bucket.get(key),
    put: (key, value, expected) => bucket.put(key, value, expected),
    delete: (key, expected) => bucket.delete(key, expected),
    list: (prefix) => bucket.list(prefix),
    scan: (prefix, take) => bucket.scan(prefix, take),
    watch: (prefix, from, signal) => bucket.watch(prefix, from, signal),
    ...operations,
  };
}
