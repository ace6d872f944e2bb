import type { Clock, Timer } from '../spiffe/index.ts';

export interface AbsenteesOptions<T> {
  /** How long each is remembered, and how many of them. */
  readonly retentionMs: number;
  readonly limit: number;
  readonly clock: Clock;
  readonly onForgotten: (absentee: T) => void;
}

/** Those who left and may come back, the longest absent first. */
export class Absentees<T> {
  readonly #options: AbsenteesOptions<T>;
  /** Until when each is remembered; milliseconds. */
  readonly #until = new Map<T, number>();
  #timer: Timer | undefined;

  constructor(options: AbsenteesOptions<T>) {
    this.#options = options;
  }

  add(absentee: T): void {
    const { clock, retentionMs, limit } = this.#options;
    this.#until.delete(absentee);
    this.#until.set(absentee, clock.now() + retentionMs);
    for (const oldest of this.#until.keys()) {
      if (this.#until.size <= limit) break;
      this.#forget(oldest);
    }
    this.#forgetLater();
  }

  delete(absentee: T): void {
    this.#until.delete(absentee);
  }

  close(): void {
    this.#timer?.cancel();
    this.#until.clear();
  }

  #forgetLater(): void {
    const [until] = this.#until.values();
    if (until === undefined || this.#timer !== undefined) return;
    const { clock } = this.#options;
    this.#timer = clock.setTimer(until - clock.now(), () => {
      this.#timer = undefined;
      const now = clock.now();
      for (const [absentee, end] of this.#until) {
        if (end > now) break;
        this.#forget(absentee);
      }
      this.#forgetLater();
    });
  }

  #forget(absentee: T): void {
    this.#until.delete(absentee);
    this.#options.onForgotten(absentee);
  }
}
