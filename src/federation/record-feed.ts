import type { Log } from '../ops/index.ts';
import type { Clock } from '../spiffe/index.ts';
import { type Bucket, BucketFeed } from '../store/index.ts';

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
  const feed = new BucketFeed({
    bucket,
    prefix: key,
    what: key,
    clock,
    log,
    target: {
      onSnapshot({ records, revision }) {
        onState({ value: records.find((record) => record.key === key)?.value, revision });
      },
      onEvent(event) {
        if (event.key !== key) return;
        const value = event.type === 'put' ? event.value : undefined;
        onState({ value, revision: event.revision });
      },
    },
  });
  await feed.load();
  const following = feed.follow();
  return {
    async close() {
      feed.close();
      await following;
    },
  };
}
