/** A pending timer; `cancel` is idempotent. */
export interface Timer {
  cancel(): void;
}

/** Time as a passed-in value, so that tests decide when it moves. */
export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch. */
  now(): number;
  /** Calls `fire` once, `delayMs` milliseconds from now (0 or less: as soon as possible). */
  setTimer(delayMs: number, fire: () => void): Timer;
}
