import { TrustplaneError } from '../spiffe/errors.ts';
import { ChangeFeed } from './change-feed.ts';
import { listByScan } from './list-by-scan.ts';
import { type PackedRecords, unpackRecords } from './packed-records.ts';
import type { Answer, ReadOperation, WriteOperation } from './sqlite-protocol.ts';
import type { SqliteQueue } from './sqlite-queue.ts';
import type { Bucket, BucketName, StoredRecord, StoreEvent, StoreSnapshot } from './store.ts';
import { checkKey, checkPrefix, checkValue } from './store-rules.ts';

/** A bucket whose records are with the worker and whose watchers are here. */
export class SqliteBucket implements Bucket {
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
    return await listByScan(this, prefix);
  }

  async scan(prefix: string, take: (some: readonly StoredRecord[]) => void): Promise<number> {
    checkPrefix(prefix);
    let fault: { readonly error: unknown } | undefined;
    const answer = await this.#read({ type: 'list', bucket: this.#name, prefix }, (pack) => {
      if (fault !== undefined) return;
      try {
        take(unpackRecords(pack));
      } catch (error) {
        fault = { error };
      }
    });
    if (fault !== undefined) throw fault.error;
    return expectAnswer(answer, 'list').revision;
  }

  watch(prefix: string, from: number, signal: AbortSignal): AsyncIterable<StoreEvent> {
    checkPrefix(prefix);
    return this.#feed.watch(prefix, from, signal);
  }

  end(error: TrustplaneError): void {
    this.#feed.fail(error);
  }

  #read(operation: ReadOperation, onPack?: (pack: PackedRecords) => void): Promise<Answer> {
    return new Promise((resolve) => this.#queue.read(operation, resolve, onPack));
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
