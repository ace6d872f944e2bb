import type { Clock } from '../spiffe/clock.ts';
import { TrustplaneError } from '../spiffe/errors.ts';
import type { PackedRecords } from './packed-records.ts';
import type {
  Answer,
  Batch,
  FailedAnswer,
  ReadOperation,
  WorkerMessage,
  WriteOperation,
} from './sqlite-protocol.ts';
import type { StoreMonitor } from './store-monitor.ts';
import { closedError, storeLimits } from './store-rules.ts';

const MAX_BATCH_WRITES = 1024;
const MAX_BATCH_READS = 256;
const MAX_BATCH_BYTES = 8 * 1024 * 1024;

type Settle = (answer: Answer) => void;

interface Pending<T> {
  readonly operation: T;
  readonly settle: Settle;
}

interface PendingRead extends Pending<ReadOperation> {
  readonly onPack: TakePack | undefined;
}

type TakePack = (pack: PackedRecords) => void;

/** The worker, as far as the queue is concerned. */
interface WorkerPort {
  postMessage(batch: Batch, moved: readonly never[]): void;
  on(event: 'message', listener: (message: WorkerMessage) => void): unknown;
}

/**
 * Operations on their way to the worker. One batch is there at a time; what arrives meanwhile makes
 * up the next, so that one commit serves all that waited for it.
 */
export class SqliteQueue {
  readonly #worker: WorkerPort;
  readonly #clock: Clock;
  readonly #monitor: StoreMonitor;
  #writes: Pending<WriteOperation>[] = [];
  #reads: PendingRead[] = [];
  #waitingBytes = 0;
  #sentWrites: readonly Pending<WriteOperation>[] = [];
  #sentReads: readonly PendingRead[] = [];
  #isFlushing = false;
  #sentAt = 0;
  #refusal: TrustplaneError | undefined;
  readonly #idle = new Set<() => void>();

  constructor(worker: WorkerPort, clock: Clock, monitor: StoreMonitor) {
    this.#worker = worker;
    this.#clock = clock;
    this.#monitor = monitor;
    worker.on('message', (message: WorkerMessage) => this.#receive(message));
  }

  /** Operations that have no answer yet. */
  get length(): number {
    return (
      this.#writes.length + this.#reads.length + this.#sentWrites.length + this.#sentReads.length
    );
  }

  /**
   * `settle` is called once, and for writes in the order of their revisions.
   * @throws TrustplaneError ERR_STORE_BUSY, ERR_STORE_UNAVAILABLE
   */
  write(operation: WriteOperation, settle: Settle): void {
    this.#admit(bytesOf(operation));
    this.#writes.push({ operation, settle });
  }

  /**
   * `onPack` is called with what a list finds, before `settle`.
   * @throws TrustplaneError ERR_STORE_BUSY, ERR_STORE_UNAVAILABLE
   */
  read(operation: ReadOperation, settle: Settle, onPack?: TakePack): void {
    this.#admit(0);
    this.#reads.push({ operation, settle, onPack });
  }

  /** Refuses operations from now on; resolves when those taken in are answered. */
  async drain(): Promise<void> {
    this.#refusal ??= closedError();
    if (this.length === 0) return;
    await new Promise<void>((resolve) => this.#idle.add(resolve));
  }

  /** Answers everything, now and later, with `error`. */
  fail(error: TrustplaneError): void {
    this.#refusal = error;
    const answer: FailedAnswer = { type: 'failed', code: error.code, message: error.message };
    const pending = [...this.#sentWrites, ...this.#sentReads, ...this.#writes, ...this.#reads];
    this.#sentWrites = this.#sentReads = this.#writes = this.#reads = [];
    for (const { settle } of pending) settle(answer);
    this.#wakeIdle();
  }

  #admit(bytes: number): void {
    if (this.#refusal !== undefined) throw this.#refusal;
    const isFull = this.length >= storeLimits.maxPendingOperations;
    if (isFull || this.#waitingBytes + bytes > storeLimits.maxPendingBytes) {
      throw new TrustplaneError(
        'ERR_STORE_BUSY',
        `${this.length} operations with ${this.#waitingBytes} bytes wait for the store; at most ${storeLimits.maxPendingOperations} and ${storeLimits.maxPendingBytes} may`,
      );
    }
    this.#waitingBytes += bytes;
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => {
      this.#isFlushing = false;
      this.#flush();
    });
  }

  /** Sends the next batch when the worker has none. */
  #flush(): void {
    if (this.#sentWrites.length + this.#sentReads.length > 0) return;
    if (this.#writes.length + this.#reads.length === 0) return this.#wakeIdle();
    this.#sentWrites = this.#writes.splice(0, batchLength(this.#writes));
    this.#sentReads = this.#reads.splice(0, MAX_BATCH_READS);
    const batch: Batch = {
      writes: this.#sentWrites.map(({ operation }) => operation),
      reads: this.#sentReads.map(({ operation }) => operation),
      now: this.#clock.now(),
    };
    this.#sentAt = batch.now;
    this.#monitor.queued(this.length);
    for (const write of batch.writes) this.#waitingBytes -= bytesOf(write);
    this.#worker.postMessage(batch, []);
  }

  #receive(message: WorkerMessage): void {
    if (message.type === 'packed') return this.#sentReads[message.read]?.onPack?.(message.pack);
    if (message.type !== 'written' && message.type !== 'read') return;
    const answered = message.type === 'written' ? this.#sentWrites : this.#sentReads;
    if (message.type === 'written') {
      this.#sentWrites = [];
      this.#monitor.committed(message.answers, this.#clock.now() - this.#sentAt);
    } else {
      this.#sentReads = [];
    }
    this.#monitor.answered(message.answers);
    for (const [i, answer] of message.answers.entries()) answered[i]?.settle(answer);
    this.#flush();
  }

  #wakeIdle(): void {
    for (const wake of this.#idle) wake();
    this.#idle.clear();
  }
}

function batchLength(writes: readonly Pending<WriteOperation>[]): number {
  let bytes = 0;
  const end = writes.findIndex(({ operation }, i) => {
    bytes += bytesOf(operation);
    return i > 0 && (i >= MAX_BATCH_WRITES || bytes > MAX_BATCH_BYTES);
  });
  return end === -1 ? writes.length : end;
}

function bytesOf(operation: WriteOperation): number {
  return operation.type === 'put' ? operation.value.length : 0;
}
