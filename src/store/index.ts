/** Durable records behind one interface, with one conformance suite. */
export { BucketFeed, type FeedTarget } from './bucket-feed.ts';
export { type Duty, type DutyOptions, holdDuty, soleDuty } from './duty.ts';
export { openJetStreamStore } from './jetstream-open.ts';
export type { JetStreamStoreOptions } from './jetstream-options.ts';
export { type LastingRecords, readOrUndefined } from './lasting-records.ts';
export { Lease, type LeaseOptions } from './lease.ts';
export { decodeLease, type LeaseRecord } from './lease-record.ts';
export { createMemoryStore } from './memory-store.ts';
export { listPage, type PageRequest, type RecordPage } from './record-page.ts';
export { compileSetFilter, type MatchBehavior, type SetFilter } from './set-filter.ts';
export { openSqliteStore, type SqliteStoreOptions } from './sqlite-store.ts';
export {
  type Bucket,
  type BucketName,
  bucketNames,
  type Store,
  type StoredRecord,
  type StoreEvent,
  type StoreSnapshot,
} from './store.ts';
export { storeLimits } from './store-rules.ts';
export { unlessConflict } from './unless-conflict.ts';
