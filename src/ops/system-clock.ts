import type { Clock } from '../spiffe/clock.ts';

const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** The machine's clock. Timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer(delayMs, fire) {
    let handle: NodeJS.Timeout;
    const arm = (left: number): void => {
      const step = Math.min(Math.max(left, 0), LONGEST_TIMEOUT_MS);
      handle = setTimeout(() => (left > step ? arm(left - step) : fire()), step).unref();
    };
    arm(delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};
