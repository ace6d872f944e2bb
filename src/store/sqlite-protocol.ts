import type { ErrorCode } from '../spiffe/errors.ts';
import type { ChangePage } from './change-feed.ts';
import type { PackedRecords } from './packed-records.ts';
import type { BucketName, StoredRecord } from './store.ts';

/** What the worker is started with. */
export interface SqliteWorkerOptions {
  readonly path: string;
  /** Name of the trust domain. */
  readonly trustDomain: string;
}

export interface PutOperation {
  readonly type: 'put';
  readonly bucket: BucketName;
  readonly key: string;
  readonly value: Uint8Array;
  readonly expected: number | undefined;
}

export interface DeleteOperation {
  readonly type: 'delete';
  readonly bucket: BucketName;
  readonly key: string;
  readonly expected: number | undefined;
}

export type WriteOperation = PutOperation | DeleteOperation;

export type ReadOperation =
  | { readonly type: 'get'; readonly bucket: BucketName; readonly key: string }
  | { readonly type: 'list'; readonly bucket: BucketName; readonly prefix: string }
  | {
      readonly type: 'changes';
      readonly bucket: BucketName;
      readonly prefix: string;
      readonly after: number;
    };

/** Operations that were waiting together; the writes are committed at once, before the reads. */
export interface Batch {
  readonly writes: readonly WriteOperation[];
  readonly reads: readonly ReadOperation[];
  /** Wall-clock time in milliseconds since the Unix epoch. */
  readonly now: number;
}

export interface FailedAnswer {
  readonly type: 'failed';
  readonly code: ErrorCode;
  readonly message: string;
}

export type Answer =
  | { readonly type: 'put'; readonly revision: number }
  | { readonly type: 'delete'; readonly revision: number | undefined }
  | { readonly type: 'get'; readonly record: StoredRecord | undefined }
  | { readonly type: 'list'; readonly revision: number }
  | { readonly type: 'changes'; readonly page: ChangePage }
  | FailedAnswer;

/**
 * From the worker: it is open; or it cannot open, and ends; or answers, in order of the batch. What a
 * list finds comes pack by pack before the answers.
 */
export type WorkerMessage =
  | { readonly type: 'open' }
  | FailedAnswer
  | { readonly type: 'packed'; readonly read: number; readonly pack: PackedRecords }
  | { readonly type: 'written'; readonly answers: readonly Answer[] }
  | { readonly type: 'read'; readonly answers: readonly Answer[] };
