import type { Clock } from '../spiffe/index.ts';
import { type Bucket, decodeLease, type StoredRecord, type StoreEvent } from '../store/index.ts';
import { serverKey } from './server-record.ts';

const PREFIX = serverKey('');
const DEFAULT_TTL_MS = 15_000;
/** Of the time after which a lease that was not renewed is over. */
const PATIENCE = 1.1;

/**
 * The ID of a server that uses the store now; undefined when there is none. Where a lease stands it takes until that
 * is renewed or over, as no clocks are compared.
 * @param bucket `leases`
 * @throws TrustplaneError ERR_STORE_*
 */
export async function findRunningServer(bucket: Bucket, clock: Clock): Promise<string | undefined> {
  const { records, revision } = await bucket.list(PREFIX);
  if (records.length === 0) return undefined;
  const over = new AbortController();
  const timer = clock.setTimer(longestTtlMs(records) * PATIENCE, () => over.abort());
  const standing = new Set(records.map(({ key }) => key));
  try {
    for await (const event of bucket.watch(PREFIX, revision, over.signal)) {
      const renewed = renewedBy(event, standing);
      if (renewed !== undefined || standing.size === 0) return renewed;
    }
    return undefined;
  } finally {
    timer.cancel();
    over.abort();
  }
}

/** Takes out a server that ended. */
function renewedBy({ type, key }: StoreEvent, standing: Set<string>): string | undefined {
  if (type === 'put') return key.slice(PREFIX.length);
  standing.delete(key);
  return undefined;
}

function longestTtlMs(records: readonly StoredRecord[]): number {
  return Math.max(...records.map(({ value }) => decodeLease(value)?.ttlMs ?? DEFAULT_TTL_MS));
}
