import { applyLimits } from './apply-limits.ts';

/** Mistakes in the order they were found, as many as are told. */
export class Complaints {
  readonly #lines: string[] = [];
  #more = 0;

  add(...lines: readonly string[]): void {
    for (const line of lines) {
      if (this.#lines.length < applyLimits.complaints) this.#lines.push(line);
      else this.#more++;
    }
  }

  get lines(): readonly string[] {
    return this.#more === 0 ? this.#lines : [...this.#lines, `and ${this.#more} more`];
  }
}
