import { type Clock, TrustplaneError } from '../spiffe/index.ts';
import { isUnavailable } from './call-error.ts';

/**
 * The first of several attempts that succeeds. Each begins `staggerMs` after the one before it, or as
 * soon as that has failed; those under way go on. When all have failed, rejects with the first failure,
 * rather of one that answered than of one that did not.
 */
export async function raceInTurn<T>(
  clock: Clock,
  staggerMs: number,
  attempts: readonly (() => Promise<T>)[],
): Promise<T> {
  if (attempts.length === 0) throw new TrustplaneError('ERR_INTERNAL', 'nothing to try');
  return await new Promise<T>((resolve, reject) => {
    const failures: unknown[] = [];
    let next = 0;
    let timer = clock.setTimer(0, () => {});
    const succeed = (value: T): void => {
      timer.cancel();
      next = attempts.length;
      resolve(value);
    };
    const fail = (error: unknown): void => {
      failures.push(error);
      if (failures.length === attempts.length) {
        reject(failures.find((failure) => !isUnavailable(failure)) ?? failures[0]);
      } else if (failures.length === next) {
        begin();
      }
    };
    const begin = (): void => {
      timer.cancel();
      const attempt = attempts[next++];
      if (attempt === undefined) return;
      if (next < attempts.length) timer = clock.setTimer(staggerMs, begin);
      attempt().then(succeed, fail);
    };
    begin();
  });
}
