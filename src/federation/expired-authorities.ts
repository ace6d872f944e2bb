import type { Log } from '../ops/index.ts';
import { type Clock, messageOf, type Timer } from '../spiffe/index.ts';
import type { OwnBundlePublisher } from './own-bundle.ts';

const HOUR_MS = 3_600_000;
/** Clocks differ. */
const GRACE_MS = 86_400_000;

/**
 * Takes what a publisher added to the own bundle out of it when it has ended and `graceMs` (a day) has
 * passed, asking every hour or grace; for authorities that no server keeps. Closed when nothing is written any more.
 */
export function withdrawExpiredAuthorities(options: {
  readonly publisher: Pick<OwnBundlePublisher, 'withdrawExpired'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly graceMs?: number;
}): { close(): Promise<void> } {
  const { publisher, clock, log, graceMs = GRACE_MS } = options;
  const intervalMs = Math.min(graceMs, HOUR_MS);
  let isClosed = false;
  let timer: Timer | undefined;
  const withdraw = async (): Promise<void> => {
    try {
      await publisher.withdrawExpired(clock.now() - graceMs);
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'expired authorities stay in the own bundle');
    }
    if (!isClosed) timer = clock.setTimer(intervalMs, again);
  };
  let running = withdraw();
  function again(): void {
    running = withdraw();
  }
  return {
    async close() {
      isClosed = true;
      timer?.cancel();
      await running;
    },
  };
}
