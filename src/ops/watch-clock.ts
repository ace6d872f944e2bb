import type { Clock } from '../spiffe/index.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

const EVERY_MS = 5_000;
/** Less is how NTP sets a clock right. */
const JUMP_MS = 2_000;

export interface ClockWatchOptions {
  readonly clock: Clock;
  /** Milliseconds since any instant, by a clock that is never set; it may stand still while the machine sleeps. */
  readonly monotonic: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
}

/**
 * Says when the clock of this host jumped: it was set, or the machine slept. What goes by it looks at it
 * twice a minute at least. Returns the way to stop.
 */
export function watchClock({ clock, monotonic, log, metrics }: ClockWatchOptions): () => void {
  const jumps = metrics.counter(
    'trustplane_app_clock_jumps_total',
    'Times the clock of this host jumped by two seconds or more.',
    ['direction'],
  );
  let offset = clock.now() - monotonic();
  const look = (): void => {
    const before = offset;
    offset = clock.now() - monotonic();
    const byMs = Math.round(offset - before);
    if (Math.abs(byMs) >= JUMP_MS) {
      jumps.inc({ direction: byMs > 0 ? 'forward' : 'backward' });
      log.warn({ byMs }, 'the clock of this host jumped');
    }
    timer = clock.setTimer(EVERY_MS, look);
  };
  let timer = clock.setTimer(EVERY_MS, look);
  return () => timer.cancel();
}
