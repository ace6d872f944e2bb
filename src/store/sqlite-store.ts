import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type Log, silentLog } from '../ops/log.ts';
import type { Metrics } from '../ops/metrics.ts';
import type { Clock } from '../spiffe/clock.ts';
import { messageOf, TrustplaneError } from '../spiffe/errors.ts';
import type { TrustDomain } from '../spiffe/trust-domain.ts';
import { SqliteBucket } from './sqlite-bucket.ts';
import type { SqliteWorkerOptions, WorkerMessage } from './sqlite-protocol.ts';
import { SqliteQueue } from './sqlite-queue.ts';
import { type Bucket, type BucketName, bucketNames, type Store } from './store.ts';
import { createStoreMonitor } from './store-monitor.ts';
import { closedError } from './store-rules.ts';

/** What it reads lives as long as it takes to hand it on: with room for more it would only be left lying. */
const YOUNG_MIB = 4;
const WORKER = import.meta.url.endsWith('.ts') ? './sqlite-worker.ts' : './sqlite-worker.js';

export interface SqliteStoreOptions {
  /** Of the database file, which is made (0600) when missing. SQLite keeps `<path>-wal` beside it. */
  readonly path: string;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  /** Default: silent. */
  readonly log?: Log;
  readonly metrics?: Metrics;
  /** Told when writes begin to fail, and (undefined) when they work again. */
  readonly onWrites?: (fault: string | undefined) => void;
  /** Called once when the store fails for good: all that is pending and later is ERR_STORE_UNAVAILABLE. */
  readonly onFailure?: (error: TrustplaneError) => void;
}

/**
 * Opens the store in a database file of one trust domain, on a thread of its own.
 * @throws TrustplaneError ERR_STORE_DAMAGED, ERR_STORE_SCHEMA, ERR_STORE_TRUST_DOMAIN,
 * ERR_STORE_FULL, ERR_STORE_READ_ONLY, ERR_STORE_UNAVAILABLE; then no file that existed was changed
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const worker = startSqliteWorker({ path: options.path, trustDomain: options.trustDomain.name });
  await opened(worker, options.path);
  return new SqliteStore(worker, options);
}

export function startSqliteWorker(workerData: SqliteWorkerOptions): Worker {
  return new Worker(new URL(WORKER, import.meta.url), {
    workerData,
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
  });
}

async function opened(worker: Worker, path: string): Promise<void> {
  const [message]: WorkerMessage[] = await once(worker, 'message').catch((error: unknown) => {
    throw endedError(path, messageOf(error));
  });
  if (message?.type !== 'failed') return;
  await worker.terminate();
  throw new TrustplaneError(message.code, message.message);
}

/** The buckets behind a worker that has opened its database. */
export class SqliteStore implements Store {
  readonly #worker: Worker;
  readonly #queue: SqliteQueue;
  readonly #buckets: ReadonlyMap<BucketName, SqliteBucket>;
  #failure: TrustplaneError | undefined;
  #closing: Promise<void> | undefined;

  constructor(worker: Worker, options: SqliteStoreOptions) {
    const { path, clock, log = silentLog, metrics, onWrites, onFailure } = options;
    const queue = new SqliteQueue(worker, clock, createStoreMonitor(log, metrics, onWrites));
    this.#worker = worker;
    this.#queue = queue;
    this.#buckets = new Map(bucketNames.map((name) => [name, new SqliteBucket(name, queue)]));
    const fail = (reason: string): void => {
      if (this.#failure !== undefined) return;
      const error = endedError(path, reason);
      this.#failure = error;
      this.#end(error);
      log.error({ error: error.message }, 'the store failed');
      onFailure?.(error);
    };
    worker.once('error', (error) => fail(messageOf(error)));
    worker.once('exit', (code) => {
      if (this.#closing === undefined) fail(`exit code ${code}`);
    });
  }

  bucket(name: BucketName): Bucket {
    const bucket = this.#buckets.get(name);
    if (bucket === undefined) throw new TrustplaneError('ERR_INTERNAL', `no bucket ${name}`);
    return bucket;
  }

  close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async #shutDown(): Promise<void> {
    await this.#queue.drain();
    if (this.#failure !== undefined) return;
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#worker.postMessage('close', []);
    await exited;
    this.#end(closedError());
  }

  #end(error: TrustplaneError): void {
    this.#queue.fail(error);
    for (const bucket of this.#buckets.values()) bucket.end(error);
  }
}

function endedError(path: string, reason: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_STORE_UNAVAILABLE',
    `the thread of the database ${path} ended: ${reason}`,
  );
}
