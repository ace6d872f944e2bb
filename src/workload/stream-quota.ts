import { TrustplaneError } from '../spiffe/index.ts';

/** Bounds how many streams one process has open. */
export class StreamQuota<P extends object> {
  readonly #max: number;
  readonly #open = new WeakMap<P, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Counts one stream more; returns the way to give it back, which works once.
   * @throws TrustplaneError ERR_WORKLOAD_STREAMS
   */
  take(process: P): () => void {
    const open = this.#open.get(process) ?? 0;
    if (open >= this.#max) {
      throw new TrustplaneError(
        'ERR_WORKLOAD_STREAMS',
        `the process has ${open} open Workload API streams; at most ${this.#max} are allowed`,
      );
    }
    this.#open.set(process, open + 1);
    let isTaken = true;
    return () => {
      if (isTaken) this.#open.set(process, (this.#open.get(process) ?? 1) - 1);
      isTaken = false;
    };
  }
}
