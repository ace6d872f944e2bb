import { createHash } from 'node:crypto';
import { readEra, writeEra } from '../journal/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { Bucket, BucketName, Store, StoredRecord } from '../store/index.ts';
import type { StateRecords } from './merge-facts.ts';

/** Of the bucket `leases`: while it is there the store is not whole. */
const FILLING = 'filling';
const AT_ONCE = 256;

/** What a bucket holds: how many records, and SHA-256 over their keys and values. */
export interface BucketDigest {
  readonly bucket: BucketName;
  readonly records: number;
  readonly sha256: string;
}

/**
 * Puts the records into an empty store, and reads them again; in order of revision, which is that of
 * their writing. Until it is done the store says that it is not whole.
 * @param era of the revisions that they have from now on: 16 hex digits
 * @throws TrustplaneError ERR_STORE_NOT_EMPTY, ERR_STORE_COPY when they read otherwise, ERR_STORE_*
 */
export async function fillStore(
  store: Store,
  state: StateRecords,
  era: string,
  onProgress: (done: BucketDigest) => void = () => {},
): Promise<readonly BucketDigest[]> {
  const leases = store.bucket('leases');
  await requireEmpty(store, state);
  await leases.put(FILLING, new Uint8Array());
  const digests: BucketDigest[] = [];
  for (const [name, records] of state) {
    const bucket = store.bucket(name);
    const sorted = [...records.values()].sort((a, b) => a.revision - b.revision);
    for (let begin = 0; begin < sorted.length; begin += AT_ONCE) {
      const some = sorted.slice(begin, begin + AT_ONCE);
      await Promise.all(some.map(({ key, value }) => bucket.put(key, value, 0)));
    }
    const written = await digestOf(name, bucket);
    const wanted = digestRecords(name, [...records.values()]);
    if (written.sha256 !== wanted.sha256) throw copyError(wanted, written);
    digests.push(written);
    onProgress(written);
  }
  await writeEra(leases, { era }, await readEra(leases));
  await leases.delete(FILLING);
  return digests;
}

/** Refuses a store that was not filled to the end. @throws TrustplaneError ERR_STORE_FILLING, ERR_STORE_* */
export async function requireWhole(leases: Pick<Bucket, 'get'>): Promise<void> {
  if ((await leases.get(FILLING)) === undefined) return;
  throw new TrustplaneError(
    'ERR_STORE_FILLING',
    'a restore or migration into this store was interrupted; do it again, with --force',
  );
}

/** Deletes all that is in the store. @throws TrustplaneError ERR_STORE_* */
export async function emptyStore(store: Store, buckets: readonly BucketName[]): Promise<void> {
  await store.bucket('leases').put(FILLING, new Uint8Array());
  for (const name of [...buckets, 'leases'] as const) {
    const bucket = store.bucket(name);
    const { records } = await bucket.list('');
    for (let begin = 0; begin < records.length; begin += AT_ONCE) {
      const some = records.slice(begin, begin + AT_ONCE).filter(({ key }) => key !== FILLING);
      await Promise.all(some.map(({ key }) => bucket.delete(key)));
    }
  }
}

/** What the bucket holds now. @throws TrustplaneError ERR_STORE_* */
async function digestOf(name: BucketName, bucket: Bucket): Promise<BucketDigest> {
  return digestRecords(name, (await bucket.list('')).records);
}

function digestRecords(bucket: BucketName, records: readonly StoredRecord[]): BucketDigest {
  const sum = createHash('sha256');
  const sorted = [...records].sort((a, b) => (a.key < b.key ? -1 : 1));
  for (const { key, value } of sorted) sum.update(`${key} ${value.length}\n`).update(value);
  return { bucket, records: records.length, sha256: sum.digest('hex') };
}

async function requireEmpty(store: Store, state: StateRecords): Promise<void> {
  for (const name of state.keys()) {
    const { records } = await store.bucket(name).list('');
    if (records.length === 0) continue;
    throw new TrustplaneError(
      'ERR_STORE_NOT_EMPTY',
      `the store has ${records.length} ${name} already; use an empty one, or --force to give up what is there`,
    );
  }
}

function copyError(wanted: BucketDigest, written: BucketDigest): TrustplaneError {
  return new TrustplaneError(
    'ERR_STORE_COPY',
    `the bucket ${wanted.bucket} reads otherwise than it was written: ${written.records} records instead of ${wanted.records}, or other ones; is anybody else writing to the store?`,
  );
}
