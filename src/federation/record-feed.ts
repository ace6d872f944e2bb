import type { Log } from '../ops/index.ts';
import { type Clock, messageOf } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 10_000;

/** What one key holds now; undefined when it does not exist. */
export interface RecordState {
  readonly value: Uint8Array | undefined;
  /** All changes up to this revision of the bucket are in `value`. */
  readonly revision: number;
}

export interface RecordFeed {
  /** Resolves when nothing is reported any more. */
  close(): Promise<void>;
}

/**
 * Reports the state of one key: once before this resolves, then after each change, and anew after
 * every break of the store's feed.
 * @throws what the first reading throws
 */
export async function followRecord(options: {
  readonly bucket: Bucket;
  readonly key: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly onState: (state: RecordState) => void;
}): Promise<RecordFeed> {
  const { bucket, key, clock, log, onState } = options;
  const stop = new AbortController();

  async function readNow(): Promise<number> {
    const { records, revision } = await bucket.list(key);
    onState({ value: records.find((record) => record.key === key)?.value, revision });
    return revision;
  }

  async function followFrom(revision: number): Promise<void> {
    for await (const event of bucket.watch(key, revision, stop.signal)) {
      if (event.key !== key) continue;
      const value = event.type === 'put' ? event.value : undefined;
      onState({ value, revision: event.revision });
    }
  }

  async function pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(delayMs, resolve);
      stop.signal.addEventListener(
        'abort',
        () => {
          timer.cancel();
          resolve();
        },
        { once: true },
      );
    });
  }

  async function run(first: number): Promise<void> {
    let revision: number | undefined = first;
    let retryMs = FIRST_RETRY_MS;
    while (!stop.signal.aborted) {
      try {
        revision ??= await readNow();
        retryMs = FIRST_RETRY_MS;
        await followFrom(revision);
      } catch (error) {
        log.warn({ key, error: messageOf(error), retryMs }, 'the feed broke; reading again');
      }
      revision = undefined;
      if (!stop.signal.aborted) await pause(retryMs);
      retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
    }
  }

  const running = run(await readNow());
  return {
    async close() {
      stop.abort();
      await running;
    },
  };
}
