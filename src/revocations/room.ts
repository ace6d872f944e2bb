/** What there is. */
export interface Held {
  size(): number;
  /** Of these, what may be deleted; not quick. */
  outdated(): number;
}

/** Room for at most so many. What is outdated and not deleted yet is in nobody's way. */
export class Room {
  readonly #max: number;
  readonly #held: Held;
  /** That were found beyond `max`, and not taken since. */
  #left = 0;

  constructor(max: number, held: Held) {
    this.#max = max;
    this.#held = held;
  }

  /** Whether there is room for one more. */
  take(): boolean {
    const size = this.#held.size();
    if (size < this.#max) {
      this.#left = 0;
      return true;
    }
    if (this.#left === 0) this.#left = Math.max(0, this.#max + this.#held.outdated() - size);
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }
}
