import { pause } from '../ops/pause.ts';
import type { Clock } from '../spiffe/clock.ts';
import { isPassing, jetStreamError } from './jetstream-errors.ts';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;
/** How long a request is repeated: longer than a stream takes to elect a leader. */
const patienceMs = 15_000;

/** Says when patience is over that begins now; a clock that is set back by more ends it as well. */
export function beginPatience(clock: Clock): () => boolean {
  const began = clock.now();
  return () => Math.abs(clock.now() - began) >= patienceMs;
}

/** Repeats what may be repeated until it succeeds. @throws TrustplaneError ERR_STORE_* @param what is asked, for the error */
export async function withPatience<T>(
  clock: Clock,
  what: string,
  attempt: () => Promise<T>,
): Promise<T> {
  const isOver = beginPatience(clock);
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      return await attempt();
    } catch (error) {
      if (!isPassing(error) || isOver()) throw jetStreamError(what, error);
    }
    await pause(clock, pauseMs);
  }
}
