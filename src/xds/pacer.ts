/** Pushes made in one turn of the event loop. */
const PER_TURN = 64;

/**
 * Spreads wide pushes over turns of the event loop, so that ten thousand streams neither hold up
 * everything else while they are served, nor have all their bytes in memory at once.
 */
export class Pacer {
  readonly #waiting = new Set<() => void>();
  #left = PER_TURN;
  #isTurning = false;

  /** Runs `push` now if this turn has room, else in a later turn: once, however often it is asked for. */
  run(push: () => void): void {
    if (this.#left > 0 && this.#waiting.size === 0) this.#make(push);
    else this.#waiting.add(push);
  }

  forget(push: () => void): void {
    this.#waiting.delete(push);
  }

  #make(push: () => void): void {
    this.#left--;
    if (!this.#isTurning) {
      this.#isTurning = true;
      setImmediate(() => this.#turn());
    }
    push();
  }

  #turn(): void {
    this.#isTurning = false;
    this.#left = PER_TURN;
    for (const push of this.#waiting) {
      if (this.#left === 0) return;
      this.#waiting.delete(push);
      this.#make(push);
    }
  }
}
