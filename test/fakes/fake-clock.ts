import type { Clock, Timer } from '../../src/spiffe/clock.ts';

interface Pending {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/** A clock that stands still until the test moves it. */
export class FakeClock implements Clock {
  #now: number;
  #order = 0;
  #pending: Pending[] = [];

  constructor(now: number = Date.parse('2026-01-01T00:00:00Z')) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const pending = { at: this.#now + Math.max(0, delayMs), order: this.#order++, fire };
    this.#pending.push(pending);
    return {
      cancel: () => {
        this.#pending = this.#pending.filter((other) => other !== pending);
      },
    };
  }

  /** How many timers wait. */
  get timers(): number {
    return this.#pending.length;
  }

  /** Moves time forward, firing the timers that come due, in order. */
  advance(ms: number): void {
    const end = this.#now + ms;
    for (let next = this.#takeDue(end); next !== undefined; next = this.#takeDue(end)) {
      this.#now = Math.max(this.#now, next.at);
      next.fire();
    }
    this.#now = end;
  }

  /** Like `advance`, letting promises settle between timers. */
  async advanceAsync(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settle();
    for (let next = this.#takeDue(end); next !== undefined; next = this.#takeDue(end)) {
      this.#now = Math.max(this.#now, next.at);
      next.fire();
      await settle();
    }
    this.#now = end;
    await settle();
  }

  /** Sets the wall clock without firing anything, as an operator or NTP would. */
  jump(to: number): void {
    const shift = to - this.#now;
    this.#now = to;
    this.#pending = this.#pending.map((pending) => ({ ...pending, at: pending.at + shift }));
  }

  #takeDue(end: number): Pending | undefined {
    const due = this.#pending
      .filter((pending) => pending.at <= end)
      .sort((a, b) => a.at - b.at || a.order - b.order)[0];
    if (due !== undefined) this.#pending = this.#pending.filter((other) => other !== due);
    return due;
  }
}

/** Lets everything that is already resolvable run. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
