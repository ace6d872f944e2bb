import { onTestFinished } from 'vitest';
import { EntryRegistry } from '../../src/entries/entry-registry.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import { SelectorSet, SpiffeId, type SuspensionSource } from '../../src/spiffe/index.ts';
import type { Bucket, Store } from '../../src/store/index.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from './fake-clock.ts';
import { testAgentId, testTrustDomain } from './test-entries.ts';

/** The test agent, whose node shows nothing. */
export const testAgent = {
  agentId: SpiffeId.parse(testAgentId),
  nodeSelectors: SelectorSet.of([]),
};

/** All entries on one page. */
export const allOnOnePage = { pageSize: 0, pageToken: '' };

/** A registry over a memory store, closed when the test ends. Several may share a store and a clock. */
export async function openRegistry(
  options: {
    clock?: FakeClock;
    store?: Store;
    bucket?: Bucket;
    suspensions?: SuspensionSource;
  } = {},
) {
  const clock = options.clock ?? new FakeClock();
  const store = options.store ?? createMemoryStore({ clock });
  const bucket = options.bucket ?? store.bucket('entries');
  let serial = 0;
  const registry = await EntryRegistry.load({
    bucket,
    trustDomain: testTrustDomain,
    clock,
    randomBytes: (size) => new Uint8Array(size).fill(++serial),
    log: silentLog,
    metrics: createMetrics(),
    ...(options.suspensions && { suspensions: options.suspensions }),
  });
  onTestFinished(() => registry.close());
  const ids = () => registry.list({}, allOnOnePage).entries.map((entry) => entry.id);
  return { clock, store, bucket, registry, ids };
}

/** The bucket with some of its methods replaced. */
export function patchedBucket(bucket: Bucket, patch: Partial<Bucket>): Bucket {
  return {
    get: (key) => bucket.get(key),
    put: (key, value, expected) => bucket.put(key, value, expected),
    delete: (key, expected) => bucket.delete(key, expected),
    list: (prefix) => bucket.list(prefix),
    scan: (prefix, take) => bucket.scan(prefix, take),
    watch: (prefix, from, signal) => bucket.watch(prefix, from, signal),
    ...patch,
  };
}
