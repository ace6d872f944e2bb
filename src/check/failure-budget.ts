/** Failures that each source, and all together, may have at once, and how many come back in a second. */
export interface FailureBudgetOptions {
  readonly perSource: number;
  readonly inAll: number;
}

interface Level {
  left: number;
  /** Milliseconds. */
  at: number;
}

const MAX_SOURCES = 4_096;

/**
 * Bounds what those cost who send what fails. A source that has spent its share is refused until some
 * of it came back; when the share of all is spent, so are all sources that have failed of late, and no others.
 */
export class FailureBudget {
  readonly #options: FailureBudgetOptions;
  /** In the order of their last failures. */
  readonly #sources = new Map<string, Level>();
  readonly #all: Level;

  constructor(options: FailureBudgetOptions) {
    this.#options = options;
    this.#all = { left: options.inAll, at: 0 };
  }

  /** Whether another failure of `source` could be borne. */
  isOpenTo(source: string, now: number): boolean {
    const { perSource, inAll } = this.#options;
    const level = this.#sources.get(source);
    if (level === undefined) return true;
    refill(level, perSource, now);
    if (level.left >= perSource) {
      this.#sources.delete(source);
      return true;
    }
    refill(this.#all, inAll, now);
    return level.left >= 1 && this.#all.left >= 1;
  }

  spend(source: string, now: number): void {
    const { perSource, inAll } = this.#options;
    const level = this.#sources.get(source) ?? { left: perSource, at: now };
    refill(level, perSource, now);
    refill(this.#all, inAll, now);
    level.left = Math.max(0, level.left - 1);
    this.#all.left = Math.max(0, this.#all.left - 1);
    this.#sources.delete(source);
    this.#sources.set(source, level);
    if (this.#sources.size > MAX_SOURCES) this.#forgetOldest();
  }

  #forgetOldest(): void {
    for (const [oldest] of this.#sources) return void this.#sources.delete(oldest);
  }
}

/** `max` a second. */
function refill(level: Level, max: number, now: number): void {
  const elapsedMs = Math.max(0, now - level.at);
  level.left = Math.min(max, level.left + (elapsedMs * max) / 1_000);
  level.at = now;
}
