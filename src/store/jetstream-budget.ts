import type { Clock } from '../spiffe/clock.ts';
import { TrustplaneError } from '../spiffe/errors.ts';
import { jetStreamError } from './jetstream-errors.ts';
import type { Answer } from './sqlite-protocol.ts';
import type { StoreMonitor } from './store-monitor.ts';
import { closedError, storeLimits } from './store-rules.ts';

/** How much may be on its way to the streams of a store, and what became of it. */
export class WriteBudget {
  readonly #monitor: StoreMonitor;
  readonly #clock: Clock;
  #operations = 0;
  #bytes = 0;
  #isClosed = false;

  constructor(monitor: StoreMonitor, clock: Clock) {
    this.#monitor = monitor;
    this.#clock = clock;
  }

  /** Performs an operation. @throws TrustplaneError ERR_STORE_BUSY, ERR_STORE_UNAVAILABLE after `close` */
  async spend<T>(bytes: number, perform: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw closedError();
    const { maxPendingOperations, maxPendingBytes } = storeLimits;
    if (this.#operations >= maxPendingOperations || this.#bytes + bytes > maxPendingBytes) {
      throw new TrustplaneError(
        'ERR_STORE_BUSY',
        `${this.#operations} operations (${this.#bytes} bytes) wait for the store, the most allowed`,
      );
    }
    this.#change(1, bytes);
    const began = this.#clock.now();
    const note = (answer: Answer): void => {
      this.#monitor.answered([answer]);
      this.#monitor.committed([answer], this.#clock.now() - began);
    };
    try {
      const result = await perform();
      note({ type: 'delete', revision: undefined });
      return result;
    } catch (error) {
      const { code, message } = jetStreamError('the store', error);
      note({ type: 'failed', code, message });
      throw error;
    } finally {
      this.#change(-1, -bytes);
    }
  }

  /** Counts a read. @throws TrustplaneError ERR_STORE_UNAVAILABLE after `close` */
  async read<T>(perform: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw closedError();
    try {
      const result = await perform();
      this.#monitor.answered([{ type: 'get', record: undefined }]);
      return result;
    } catch (error) {
      const { code, message } = jetStreamError('the store', error);
      this.#monitor.answered([{ type: 'failed', code, message }]);
      throw error;
    }
  }

  close(): void {
    this.#isClosed = true;
  }

  #change(operations: number, bytes: number): void {
    this.#operations += operations;
    this.#bytes += bytes;
    this.#monitor.queued(this.#operations);
  }
}
