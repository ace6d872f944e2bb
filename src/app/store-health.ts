import type { Timer } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import type { Process } from './process.ts';

const RETRY_MS = 5_000;
const PROBE = 'probe';

/** A process is not ready while its store takes no writes. So that it learns of their return, it tries one now and then. */
export class StoreHealth {
  readonly #process: Pick<Process, 'clock' | 'closing'>;
  #fault: string | undefined;
  #bucket: Pick<Bucket, 'put'> | undefined;
  #timer: Timer | undefined;

  constructor(process: Pick<Process, 'clock' | 'closing' | 'readiness'>) {
    this.#process = process;
    process.readiness.require('store', () => this.#fault);
  }

  /** What became of the last writes. */
  note(fault: string | undefined): void {
    this.#fault = fault;
    this.#sleep();
  }

  /** Where to try. */
  probe(bucket: Pick<Bucket, 'put'>): void {
    this.#bucket = bucket;
    this.#process.closing.defer(() => this.#timer?.cancel());
  }

  #sleep(): void {
    this.#timer?.cancel();
    if (this.#fault === undefined) return;
    this.#timer = this.#process.clock.setTimer(RETRY_MS, () => this.#try());
  }

  #try(): void {
    this.#sleep();
    // What comes of it is noted where all writes are.
    this.#bucket?.put(PROBE, new Uint8Array()).catch(() => {});
  }
}
