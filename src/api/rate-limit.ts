import { type Clock, type Timer, TrustplaneError } from '../spiffe/index.ts';

/** Sources that are known before those with a full bucket are forgotten. */
const MANY_SOURCES = 1_024;

export interface RateLimitOptions {
  /** For messages, such as `attestations`. */
  readonly what: string;
  /** Tokens a second for each source, and the most that it can save up; 0 is no limit. */
  readonly ratePerSecond: number;
  /** Of one source. */
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  readonly clock: Clock;
}

interface Waiting {
  readonly tokens: number;
  readonly admit: () => void;
}

interface Source {
  tokens: number;
  /** When `tokens` was right, in milliseconds since the epoch. */
  at: number;
  /** First come, first served. */
  readonly waiting: Set<Waiting>;
  /** The tokens of all who wait. */
  owed: number;
  timer: Timer | undefined;
}

/**
 * A bucket of tokens for each source. Who finds too few waits in the line of that source alone; who
 * would have to wait too long, or behind too many, is refused at once. Whoever needs more than the
 * bucket holds takes it full, and leaves a debt.
 */
export class RateLimit {
  readonly #options: RateLimitOptions;
  readonly #sources = new Map<string, Source>();
  #rate: number;

  constructor(options: RateLimitOptions) {
    this.#options = options;
    this.#rate = options.ratePerSecond;
  }

  /** Those that are remembered. */
  get sourceCount(): number {
    return this.#sources.size;
  }

  /** From now on, for those that wait too. */
  setRate(ratePerSecond: number): void {
    for (const source of this.#sources.values()) this.#refill(source);
    this.#rate = ratePerSecond;
    for (const source of this.#sources.values()) this.#advance(source);
  }

  /**
   * Takes tokens. Undefined: it has them; else they come later, and `leave` gives up the place.
   * @throws TrustplaneError ERR_API_RATE_LIMIT
   */
  take(
    name: string,
    tokens: number,
  ): { readonly admitted: Promise<void>; leave(): void } | undefined {
    if (this.#rate === 0) return undefined;
    const source = this.#sourceOf(name);
    this.#refill(source);
    if (source.waiting.size === 0 && this.#spend(source, tokens)) return undefined;
    this.#checkLine(name, source, tokens);
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting: Waiting = { tokens, admit: resolve };
    source.waiting.add(waiting);
    source.owed += tokens;
    this.#advance(source);
    return {
      admitted: promise,
      leave: () => {
        if (!source.waiting.delete(waiting)) return;
        source.owed -= tokens;
        this.#advance(source);
      },
    };
  }

  #sourceOf(name: string): Source {
    const known = this.#sources.get(name);
    if (known !== undefined) return known;
    if (this.#sources.size >= MANY_SOURCES) this.#forgetFull();
    const now = this.#options.clock.now();
    const source: Source = {
      tokens: this.#rate,
      at: now,
      waiting: new Set(),
      owed: 0,
      timer: undefined,
    };
    this.#sources.set(name, source);
    return source;
  }

  /** A new bucket is full as well. */
  #forgetFull(): void {
    for (const [name, source] of this.#sources) {
      this.#refill(source);
      if (source.tokens >= this.#rate && source.waiting.size === 0) this.#sources.delete(name);
    }
  }

  /** A clock that was set back stops nobody for long: it counts from there. */
  #refill(source: Source): void {
    const now = this.#options.clock.now();
    const gained = (Math.max(0, now - source.at) / 1_000) * this.#rate;
    source.tokens = Math.min(this.#rate, source.tokens + gained);
    source.at = now;
  }

  #spend(source: Source, tokens: number): boolean {
    if (this.#rate > 0 && source.tokens < Math.min(tokens, this.#rate)) return false;
    source.tokens -= tokens;
    return true;
  }

  /** @throws TrustplaneError ERR_API_RATE_LIMIT */
  #checkLine(name: string, source: Source, tokens: number): void {
    const { what, maxWaiting, maxWaitMs } = this.#options;
    const waitMs =
      ((source.owed + Math.min(tokens, this.#rate) - source.tokens) / this.#rate) * 1_000;
    if (source.waiting.size < maxWaiting && waitMs <= maxWaitMs) return;
    const wait = `${source.waiting.size} calls of ${name} wait already, the last for ${Math.ceil(waitMs / 1_000)} s`;
    throw new TrustplaneError(
      'ERR_API_RATE_LIMIT',
      `at most ${this.#rate} ${what} a second from one address: ${wait}; try again later`,
    );
  }

  /** Admits whom it can, and sleeps until it can admit the next. */
  #advance(source: Source): void {
    source.timer?.cancel();
    source.timer = undefined;
    this.#refill(source);
    for (const waiting of source.waiting) {
      if (!this.#spend(source, waiting.tokens)) return this.#sleep(source, waiting);
      source.waiting.delete(waiting);
      source.owed -= waiting.tokens;
      waiting.admit();
    }
  }

  #sleep(source: Source, next: Waiting): void {
    const missing = Math.min(next.tokens, this.#rate) - source.tokens;
    const delayMs = Math.max(1, Math.ceil((missing / this.#rate) * 1_000));
    source.timer = this.#options.clock.setTimer(delayMs, () => this.#advance(source));
  }
}
