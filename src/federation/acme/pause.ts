import type { Clock } from '../../spiffe/index.ts';

/** @throws the reason of `signal` as soon as it is aborted */
export async function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = clock.setTimer(delayMs, resolve);
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await promise;
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
  }
}
