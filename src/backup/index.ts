/** The whole state of a control plane in one file, and from one store into another. */
export {
  type BucketDigest,
  emptyStore,
  fillStore,
  requireWhole,
} from './fill-store.ts';
export { mergeFacts, type StateRecords } from './merge-facts.ts';
export { type Backup, parseBackup, readBackup } from './read-backup.ts';
export { type BackupSource, backupBuckets, type SealedKeys, writeBackup } from './write-backup.ts';
