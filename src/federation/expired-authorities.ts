import type { Log } from '../ops/index.ts';
import { type Clock, messageOf, type Timer } from '../spiffe/index.ts';
import type { OwnBundlePublisher } from './own-bundle.ts';

const INTERVAL_MS = 3_600_000;
/** Clocks differ. */
const GRACE_MS = 86_400_000;

/**
 * Takes what a publisher added to the own bundle out of it a day after it has ended, asking every
 * hour; for authorities that no server keeps. Closed when nothing is written any more.
 */
export function withdrawExpiredAuthorities(options: {
  readonly publisher: Pick<OwnBundlePublisher, 'withdrawExpired'>;
  readonly clock: Clock;
  readonly log: Log;
}): { close(): Promise<void> } {
  const { publisher, clock, log } = options;
  let isClosed = false;
  let timer: Timer | undefined;
  const withdraw = async (): Promise<void> => {
    try {
      await publisher.withdrawExpired(clock.now() - GRACE_MS);
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'expired authorities stay in the own bundle');
    }
    if (!isClosed) timer = clock.setTimer(INTERVAL_MS, again);
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
