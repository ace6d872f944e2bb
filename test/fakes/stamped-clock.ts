import { systemClock } from '../../src/ops/system-clock.ts';
import type { Timer } from '../../src/spiffe/clock.ts';
import { FakeClock } from './fake-clock.ts';

/** Tells the time that a test sets, while its timers run by the machine's: for what waits for other programs. */
export class StampedClock extends FakeClock {
  override setTimer(delayMs: number, fire: () => void): Timer {
    return systemClock.setTimer(delayMs, fire);
  }
}
