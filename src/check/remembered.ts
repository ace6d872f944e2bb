/** The results of a function that takes long, by text; of more than `max` the oldest are forgotten. */
export class Remembered<Value> {
  readonly #max: number;
  readonly #values = new Map<string, Value>();

  constructor(max: number) {
    this.#max = max;
  }

  get(key: string): Value | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: Value): void {
    if (this.#values.size >= this.#max && !this.#values.has(key)) this.#forgetOldest();
    this.#values.set(key, value);
  }

  delete(key: string): void {
    this.#values.delete(key);
  }

  #forgetOldest(): void {
    for (const [oldest] of this.#values) return void this.#values.delete(oldest);
  }
}
