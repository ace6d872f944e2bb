import type { Clock } from '../spiffe/index.ts';

/** A wait that can be ended early; one at a time. */
export class Nap {
  readonly #clock: Clock;
  #end: (() => void) | undefined;
  #isOver = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves after `ms`, at the next `wake`, or at once when there is nothing to wait for. */
  async sleep(ms: number): Promise<void> {
    if (this.#isOver || ms <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimer(ms, () => this.wake());
      this.#end = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  wake(): void {
    const end = this.#end;
    this.#end = undefined;
    end?.();
  }

  /** Nobody sleeps any more. */
  stop(): void {
    this.#isOver = true;
    this.wake();
  }
}
