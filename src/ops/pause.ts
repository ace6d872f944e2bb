import type { Clock } from '../spiffe/clock.ts';

/** Resolves after `delayMs` of the clock, or as soon as `signal` aborts. */
export async function pause(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = clock.setTimer(delayMs, resolve);
  const end = (): void => resolve();
  signal?.addEventListener('abort', end, { once: true });
  await promise;
  timer.cancel();
  signal?.removeEventListener('abort', end);
}
