import { pause } from '../../ops/index.ts';
import type { Clock } from '../../spiffe/index.ts';

/** As `pause`. @throws the reason of `signal` as soon as it is aborted */
export async function pauseOrThrow(
  clock: Clock,
  delayMs: number,
  signal: AbortSignal,
): Promise<void> {
  await pause(clock, delayMs, signal);
  signal.throwIfAborted();
}
