/** Durable records behind one interface, with one conformance suite. */
export {
  type Bucket,
  type BucketName,
  bucketNames,
  type Store,
  type StoredRecord,
  type StoreEvent,
  type StoreSnapshot,
} from './store.ts';
