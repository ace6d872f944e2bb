interface Reading<T> {
  readonly current: Promise<T>;
  next: Promise<T> | undefined;
}

/**
 * Reads of the same key that are asked for while one is under way share the next: every answer is of
 * a read that began after it was asked for, and there is one at a time for each key.
 */
export class SharedReads<T> {
  readonly #read: (key: string) => Promise<T>;
  readonly #readings = new Map<string, Reading<T>>();

  constructor(read: (key: string) => Promise<T>) {
    this.#read = read;
  }

  /** Rejects as the read does. */
  read(key: string): Promise<T> {
    const reading = this.#readings.get(key);
    if (reading === undefined) return this.#begin(key);
    const begin = (): Promise<T> => this.#begin(key);
    reading.next ??= reading.current.then(begin, begin);
    return reading.next;
  }

  #begin(key: string): Promise<T> {
    const reading: Reading<T> = { current: this.#read(key), next: undefined };
    this.#readings.set(key, reading);
    const end = (): void => {
      if (reading.next === undefined) this.#readings.delete(key);
    };
    reading.current.then(end, end);
    return reading.current;
  }
}
