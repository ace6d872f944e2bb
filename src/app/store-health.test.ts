import { expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { Readiness } from '../ops/index.ts';
import { createMemoryStore } from '../store/index.ts';
import { StoreHealth } from './store-health.ts';

it('the process is not ready while writes fail, and a write is tried until one works', async () => {
  const clock = new FakeClock();
  const readiness = new Readiness(clock);
  await using closing = new AsyncDisposableStack();
  const health = new StoreHealth({ clock, closing, readiness });
  readiness.start();
  const bucket = createMemoryStore({ clock }).bucket('leases');
  let isFull = true;
  let writes = 0;
  health.probe({
    put: async (key, value) => {
      writes += 1;
      health.note(isFull ? 'the disk is full' : undefined);
      if (isFull) throw new Error('full');
      return await bucket.put(key, value);
    },
  });
  expect(readiness.check().isReady).toBe(true);
  health.note('the disk is full');
  expect(readiness.check()).toMatchObject({
    isReady: false,
    checks: [{ name: 'process' }, { name: 'store', fault: 'the disk is full' }],
  });
  await clock.advanceAsync(10_000);
  expect(writes).toBe(2);
  isFull = false;
  await clock.advanceAsync(5_000);
  expect(readiness.check().isReady).toBe(true);
  await clock.advanceAsync(60_000);
  expect(writes).toBe(3);
});
