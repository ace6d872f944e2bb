import type { Log } from '../ops/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { errorStatus, type WireStatus } from './wire-values.ts';

/** Does the work for each item, in order, at most `concurrency` at once; a failure is the item's status. */
export async function eachItem<T, R extends { status: WireStatus }>(
  items: readonly T[],
  concurrency: number,
  log: Log,
  work: (item: T) => Promise<R>,
): Promise<(R | { status: WireStatus })[]> {
  const results: (R | { status: WireStatus })[] = [];
  for (let i = 0; i < items.length; i += concurrency) {
    const part = items.slice(i, i + concurrency).map(async (item) => {
      try {
        return await work(item);
      } catch (error) {
        if (!(error instanceof TrustplaneError)) {
          log.error({ error: messageOf(error) }, 'an item of a batch failed');
        }
        return { status: errorStatus(error) };
      }
    });
    results.push(...(await Promise.all(part)));
  }
  return results;
}
