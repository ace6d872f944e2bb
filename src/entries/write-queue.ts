/** Lets the writes of one thing follow each other, in the order of their calls; those of others do not wait. */
export class WriteQueue {
  readonly #maxWaiting: number;
  readonly #full: (key: string) => Error;
  readonly #queues = new Map<string, { last: Promise<unknown>; size: number }>();

  /** @param maxWaiting writes of one key under way or waiting; `full` makes the error of one more */
  constructor(maxWaiting: number, full: (key: string) => Error) {
    this.#maxWaiting = maxWaiting;
    this.#full = full;
  }

  /** Resolves or rejects as `write` does, which begins when all earlier ones of the key are settled. */
  async run<T>(key: string, write: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? { last: Promise.resolve(), size: 0 };
    if (queue.size >= this.#maxWaiting) throw this.#full(key);
    this.#queues.set(key, queue);
    queue.size += 1;
    const written = queue.last.then(write);
    const settled = (): void => {
      queue.size -= 1;
      if (queue.size === 0) this.#queues.delete(key);
    };
    queue.last = written.then(settled, settled);
    return await written;
  }
}
