import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { type Log, silentLog } from '../ops/log.ts';
import { createMetrics } from '../ops/metrics.ts';
import { TrustplaneError } from '../spiffe/errors.ts';
import type {
  Answer,
  Batch,
  FailedAnswer,
  WorkerMessage,
  WriteOperation,
} from './sqlite-protocol.ts';
import { SqliteQueue } from './sqlite-queue.ts';
import { createStoreMonitor } from './store-monitor.ts';
import { storeLimits } from './store-rules.ts';

/** A worker that answers when the test says so. */
class FakeWorker extends EventEmitter {
  readonly batches: Batch[] = [];

  postMessage(batch: Batch): void {
    this.batches.push(batch);
  }

  answer(message: WorkerMessage): void {
    this.emit('message', message);
  }
}

const FULL: FailedAnswer = { type: 'failed', code: 'ERR_STORE_FULL', message: 'no room' };
const CONFLICT: FailedAnswer = { type: 'failed', code: 'ERR_STORE_CONFLICT', message: 'stale' };

let worker: FakeWorker;
let queue: SqliteQueue;
let answers: Answer[];
const take = (answer: Answer): void => void answers.push(answer);

beforeEach(() => {
  worker = new FakeWorker();
  queue = new SqliteQueue(worker, new FakeClock(), createStoreMonitor(silentLog, undefined));
  answers = [];
});

describe('SqliteQueue', () => {
  it('sends what came together at once, and what came meanwhile as the next batch', async () => {
    queue.write(put('a'), take);
    queue.write(put('b'), take);
    queue.read({ type: 'get', bucket: 'entries', key: 'a' }, take);
    await settle();
    for (const key of ['c', 'd', 'e']) queue.write(put(key), take);
    await settle();
    expect(worker.batches.map(shapeOf)).toEqual(['a,b + 1 reads']);
    worker.answer({ type: 'written', answers: [done(1), done(2)] });
    expect(worker.batches).toHaveLength(1);
    worker.answer({ type: 'read', answers: [{ type: 'get', record: undefined }] });
    expect(worker.batches.map(shapeOf)).toEqual(['a,b + 1 reads', 'c,d,e + 0 reads']);
    worker.answer({ type: 'written', answers: [done(3), CONFLICT, done(4)] });
    expect(answers).toEqual([
      done(1),
      done(2),
      { type: 'get', record: undefined },
      done(3),
      CONFLICT,
      done(4),
    ]);
    expect(queue.length).toBe(0);
  });

  it('bounds a batch by number and by bytes', async () => {
    for (let i = 0; i < 1500; i++) queue.write(put(`k${i}`), take);
    await settle();
    expect(worker.batches[0]?.writes).toHaveLength(1024);
    worker.answer({ type: 'written', answers: Array.from({ length: 1024 }, () => done(1)) });
    expect(worker.batches[1]?.writes).toHaveLength(476);
    for (let i = 0; i < 20; i++) queue.write(put('big', 1_000_000), take);
    worker.answer({ type: 'written', answers: Array.from({ length: 476 }, () => done(1)) });
    expect(worker.batches[2]?.writes).toHaveLength(8);
  });

  it('refuses more operations or bytes than may wait', async () => {
    for (let i = 0; i < storeLimits.maxPendingOperations; i++) queue.write(put('a'), take);
    expect(() => queue.write(put('a'), take)).toThrow(/at most 16384/u);
    expect(() => queue.read({ type: 'get', bucket: 'entries', key: 'a' }, take)).toThrow(
      expect.objectContaining({ code: 'ERR_STORE_BUSY' }),
    );
    await settle();
    worker.answer({ type: 'written', answers: Array.from({ length: 1024 }, () => done(1)) });
    queue.write(put('a'), take);
    expect(answers).toHaveLength(1024);

    const other = new SqliteQueue(
      new FakeWorker(),
      new FakeClock(),
      createStoreMonitor(silentLog, undefined),
    );
    for (let i = 0; i < 67; i++) other.write(put('big', 1_000_000), take);
    expect(() => other.write(put('big', 1_000_000), take)).toThrow(
      expect.objectContaining({ code: 'ERR_STORE_BUSY' }),
    );
    other.write(put('small', 10), take);
  });

  it('drains: answers what it has and refuses the rest', async () => {
    queue.write(put('a'), take);
    const drained = queue.drain();
    expect(() => queue.write(put('b'), take)).toThrow(
      expect.objectContaining({ code: 'ERR_STORE_UNAVAILABLE' }),
    );
    await settle();
    worker.answer({ type: 'written', answers: [done(1)] });
    await drained;
    await queue.drain();
    expect(answers).toEqual([done(1)]);
  });

  it('fails everything that waits, once', async () => {
    queue.write(put('a'), take);
    await settle();
    queue.write(put('b'), take);
    queue.read({ type: 'get', bucket: 'entries', key: 'a' }, take);
    queue.fail(new TrustplaneError('ERR_STORE_UNAVAILABLE', 'gone'));
    const gone = { type: 'failed', code: 'ERR_STORE_UNAVAILABLE', message: 'gone' };
    expect(answers).toEqual([gone, gone, gone]);
    worker.answer({ type: 'written', answers: [done(1)] });
    await settle();
    expect(answers).toHaveLength(3);
    expect(worker.batches).toHaveLength(1);
    expect(() => queue.write(put('c'), take)).toThrow('gone');
    await queue.drain();
  });
});

describe('the monitor of a store', () => {
  it('counts outcomes, and tells once when writes fail and when they work again', async () => {
    const lines: string[] = [];
    const log: Log = {
      ...silentLog,
      info: (_, message) => void lines.push(`info ${message}`),
      error: (fields, message) => void lines.push(`error ${JSON.stringify(fields)} ${message}`),
    };
    const metrics = createMetrics();
    const monitor = createStoreMonitor(log, metrics);
    for (const outcome of [[done(1), CONFLICT], [FULL], [FULL, FULL], [CONFLICT], [done(2)]]) {
      monitor.committed(outcome, 2);
      monitor.answered(outcome);
    }
    monitor.queued(7);
    expect(lines).toEqual([
      'error {"code":"ERR_STORE_FULL","error":"no room"} writes fail',
      'info writes work again',
    ]);
    const text = await metrics.render();
    expect(text).toContain('trustplane_store_operations_total{outcome="ok"} 2');
    expect(text).toContain('trustplane_store_operations_total{outcome="conflict"} 2');
    expect(text).toContain('trustplane_store_operations_total{outcome="failed"} 3');
    expect(text).toContain('trustplane_store_queue_operations 7');
    expect(text).toContain('trustplane_store_commit_seconds_count 5');
  });
});

function put(key: string, bytes = 1): WriteOperation {
  const value = new Uint8Array(bytes);
  return { type: 'put', bucket: 'entries', key, value, expected: undefined };
}

function done(revision: number): Answer {
  return { type: 'put', revision };
}

function shapeOf({ writes, reads }: Batch): string {
  return `${writes.map(({ key }) => key).join()} + ${reads.length} reads`;
}
