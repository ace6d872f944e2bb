import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Log } from '../ops/log.ts';
import type { Metrics } from '../ops/metrics.ts';
import type { Clock } from '../spiffe/clock.ts';
import { messageOf, TrustplaneError } from '../spiffe/errors.ts';
import type { TrustDomain } from '../spiffe/trust-domain.ts';
import { ChangeFeed } from './change-feed.ts';
import { unpackRecords } from './packed-records.ts';
import type {
  Answer,
  ReadOperation,
  SqliteWorkerOptions,
  WorkerMessage,
  WriteOperation,
} from './sqlite-protocol.ts';
import { SqliteQueue } from './sqlite-queue.ts';
import {
  type Bucket,
  type BucketName,
  bucketNames,
  type Store,
  type StoredRecord,
  type StoreEvent,
  type StoreSnapshot,
} from './store.ts';
import { checkKey, checkPrefix, checkValue, closedError } from './store-rules.ts';

const WORKER = import.meta.url.endsWith('.ts') ? './sqlite-worker.ts' : './sqlite-worker.js';

export interface SqliteStoreOptions {
  /** Of the database file, which is made (0600) when missing. SQLite keeps `<path>-wal` beside it. */
  readonly path: string;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log?: Log;
  readonly metrics?: Metrics;
  /** Called once when the store fails for good: everything pending and later is ERR_STORE_UNAVAILABLE. */
  readonly onFailure?: (error: TrustplaneError) => void;
}

/**
 * Opens the store in a database file of one trust domain, on a thread of its own.
 * @throws TrustplaneError ERR_STORE_DAMAGED, ERR_STORE_SCHEMA, ERR_STORE_TRUST_DOMAIN,
 * ERR_STORE_FULL, ERR_STORE_READ_ONLY, ERR_STORE_UNAVAILABLE; then no file was changed
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const workerData: SqliteWorkerOptions = {
    path: options.path,
    trustDomain: options.trustDomain.name,
  };
  const worker = new Worker(new URL(WORKER, import.meta.url), { workerData, execArgv: [] });
  await opened(worker);
  return new SqliteStore(worker, options);
}

async function opened(worker: Worker): Promise<void> {
  const [message]: WorkerMessage[] = await once(worker, 'message');
  if (message?.type === 'failed') throw new TrustplaneError(message.code, message.message);
}

class SqliteStore implements Store {
  readonly #worker: Worker;
  readonly #queue: SqliteQueue;
  readonly #buckets: ReadonlyMap<BucketName, SqliteBucket>;
  #isClosing = false;

  constructor(worker: Worker, { path, clock, log, onFailure }: SqliteStoreOptions) {
    this.#worker = worker;
    const queue = new SqliteQueue(worker, clock);
    this.#queue = queue;
    this.#buckets = new Map(bucketNames.map((name) => [name, new SqliteBucket(name, queue)]));
    const fail = (reason: string): void => {
      const error = new TrustplaneError(
        'ERR_STORE_UNAVAILABLE',
        `the thread of the database ${path} ended: ${reason}`,
      );
      this.#end(error);
      log?.error({ error: error.message }, 'the store failed');
      onFailure?.(error);
    };
    worker.once('error', (error) => fail(messageOf(error)));
    worker.once('exit', (code) => {
      if (!this.#isClosing) fail(`exit code ${code}`);
    });
  }

  bucket(name: BucketName): Bucket {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) throw new TrustplaneError('ERR_INTERNAL', `no bucket ${name}`);
    return bucket;
  }

  async close(): Promise<void> {
    await this.#queue.drain();
    if (this.#isClosing) return;
    this.#isClosing = true;
    const exited = once(this.#worker, 'exit');
    this.#worker.postMessage('close', []);
    await exited;
    this.#end(closedError());
  }

  #end(error: TrustplaneError): void {
    this.#queue.fail(error);
    for (const bucket of this.#buckets.values()) bucket.end(error);
  }
}

class SqliteBucket implements Bucket {
  readonly #name: BucketName;
  readonly #queue: SqliteQueue;
  readonly #feed: ChangeFeed;

  constructor(name: BucketName, queue: SqliteQueue) {
    this.#name = name;
    this.#queue = queue;
    this.#feed = new ChangeFeed(async (prefix, after) => {
      const answer = await this.#read({ type: 'changes', bucket: name, prefix, after });
      return expectAnswer(answer, 'changes').page;
    });
  }

  async get(key: string): Promise<StoredRecord | undefined> {
    checkKey(key);
    const answer = await this.#read({ type: 'get', bucket: this.#name, key });
    return expectAnswer(answer, 'get').record;
  }

  async put(key: string, value: Uint8Array, expected?: number): Promise<number> {
    checkKey(key);
    checkValue(key, value);
    const bytes = value.slice();
    return await this.#write(
      { type: 'put', bucket: this.#name, key, value: bytes, expected },
      (answer) => {
        const { revision } = expectAnswer(answer, 'put');
        this.#feed.publish({ type: 'put', key, value: bytes, revision });
        return revision;
      },
    );
  }

  async delete(key: string, expected?: number): Promise<number | undefined> {
    checkKey(key);
    return await this.#write({ type: 'delete', bucket: this.#name, key, expected }, (answer) => {
      const { revision } = expectAnswer(answer, 'delete');
      if (revision !== undefined) this.#feed.publish({ type: 'delete', key, revision });
      return revision;
    });
  }

  async list(prefix: string): Promise<StoreSnapshot> {
    checkPrefix(prefix);
    const answer = await this.#read({ type: 'list', bucket: this.#name, prefix });
    const { packed, revision } = expectAnswer(answer, 'list');
    return { records: unpackRecords(packed), revision };
  }

  watch(prefix: string, from: number, signal: AbortSignal): AsyncIterable<StoreEvent> {
    checkPrefix(prefix);
    return this.#feed.watch(prefix, from, signal);
  }

  end(error: TrustplaneError): void {
    this.#feed.fail(error);
  }

  #read(operation: ReadOperation): Promise<Answer> {
    return new Promise((resolve) => this.#queue.read(operation, resolve));
  }

  /** `finish` runs at once when the answer is there, so that the feed sees revisions in order. */
  #write<T>(operation: WriteOperation, finish: (answer: Answer) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#queue.write(operation, (answer) => {
        try {
          resolve(finish(answer));
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}

/** @throws TrustplaneError what the worker answered instead */
function expectAnswer<T extends Answer['type']>(
  answer: Answer,
  type: T,
): Extract<Answer, { type: T }> {
  if (isOfType(answer, type)) return answer;
  if (answer.type === 'failed') throw new TrustplaneError(answer.code, answer.message);
  throw new TrustplaneError('ERR_INTERNAL', `the store answered ${answer.type}, expected ${type}`);
}

function isOfType<T extends Answer['type']>(
  answer: Answer,
  type: T,
): answer is Extract<Answer, { type: T }> {
  return answer.type === type;
}
