interface FairTurnsOptions {
  /** How many go on at once. */
  readonly max: number;
  /** How many of one user may wait. */
  readonly maxWaitingPerUser: number;
}

/** Lets a few go on at once; of those that wait, each user's first comes in turn. */
export class FairTurns {
  readonly #options: FairTurnsOptions;
  readonly #waiting = new Map<number, (() => void)[]>();
  #running = 0;

  constructor(options: FairTurnsOptions) {
    this.#options = options;
  }

  /** Does the work when it is its turn; undefined when too many of the user wait already. */
  async run<T>(uid: number, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#running < this.#options.max) this.#running += 1;
    else if (!(await this.#wait(uid))) return undefined;
    try {
      return await work();
    } finally {
      this.#passOn();
    }
  }

  async #wait(uid: number): Promise<boolean> {
    const queue = this.#waiting.get(uid) ?? [];
    if (queue.length >= this.#options.maxWaitingPerUser) return false;
    this.#waiting.set(uid, queue);
    await new Promise<void>((resolve) => queue.push(resolve));
    return true;
  }

  /** The next one has the turn of the one that ends. */
  #passOn(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#running -= 1;
      return;
    }
    const [uid, [begin, ...others]] = next;
    this.#waiting.delete(uid);
    if (others.length > 0) this.#waiting.set(uid, others);
    begin?.();
  }
}
