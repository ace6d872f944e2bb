import { onTestFinished } from 'vitest';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import { RevocationRegistry } from '../../src/revocations/index.ts';
import type { Bucket, Store } from '../../src/store/index.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock } from './fake-clock.ts';

/** A registry over a memory store, closed when the test ends. Several may share a store and a clock. */
export async function openRevocations(
  options: { clock?: FakeClock; store?: Store; bucket?: Bucket } = {},
) {
  const clock = options.clock ?? new FakeClock();
  const store = options.store ?? createMemoryStore({ clock });
  const bucket = options.bucket ?? store.bucket('revocations');
  const log = silentLog;
  const metrics = createMetrics();
  const revocations = await RevocationRegistry.load({ bucket, clock, log, metrics });
  onTestFinished(() => revocations.close());
  return { clock, store, bucket, revocations, metrics };
}
