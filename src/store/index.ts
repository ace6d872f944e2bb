/** Durable records behind one interface, with one conformance suite. */
export { createMemoryStore } from './memory-store.ts';
export { openSqliteStore, type SqliteStoreOptions } from './sqlite-store.ts';
export {
  type Bucket,
  type BucketName,
  type Store,
  type StoredRecord,
  type StoreEvent,
  type StoreSnapshot,
} from './store.ts';
export { storeLimits } from './store-rules.ts';
