import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { overBucket } from '../../test/fakes/over-bucket.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { holdDuty } from './duty.ts';
import { Lease } from './lease.ts';
import { createMemoryStore } from './memory-store.ts';
import type { Bucket } from './store.ts';

const TTL_MS = 15_000;

function world() {
  const clock = new FakeClock();
  const bucket = createMemoryStore({ clock }).bucket('leases');
  const metrics = createMetrics();
  const open = async (holder: string, more: { bucket?: Bucket; clock?: FakeClock } = {}) => {
    const duty = await holdDuty({
      bucket,
      name: 'poll',
      holder,
      clock,
      log: silentLog,
      metrics,
      ...more,
    });
    onTestFinished(() => duty.close());
    return duty;
  };
  return { clock, bucket, metrics, open };
}

function unavailable(): Promise<never> {
  return Promise.reject(new TrustplaneError('ERR_STORE_UNAVAILABLE', 'no store'));
}

describe('holdDuty', () => {
  it('gives the duty to the first, and to another at once when it is freed', async () => {
    const { clock, open, metrics } = world();
    const one = await open('one');
    const two = await open('two');
    expect([one.isMine(), two.isMine()]).toEqual([true, false]);
    await clock.advanceAsync(10 * TTL_MS);
    expect([one.isMine(), two.isMine()]).toEqual([true, false]);
    let told = 0;
    two.watch(() => told++);
    await one.close();
    await settle();
    expect([one.isMine(), two.isMine(), told]).toEqual([false, true, 1]);
    expect(await metrics.render()).toContain('trustplane_store_duty_held{duty="poll"} 1');
  });

  it('goes to another when its holder can no longer write, who has lost it by then', async () => {
    const { clock, bucket, open } = world();
    let isCutOff = false;
    const cut = overBucket(bucket, {
      put: (key, value, expected) => (isCutOff ? unavailable() : bucket.put(key, value, expected)),
      get: (key) => (isCutOff ? unavailable() : bucket.get(key)),
    });
    const one = await open('one', { bucket: cut });
    const two = await open('two');
    const lost: boolean[] = [];
    one.watch(() => lost.push(two.isMine()));
    isCutOff = true;
    for (let ms = 0; ms < 2 * TTL_MS; ms += 100) {
      await clock.advanceAsync(100);
      expect(one.isMine() && two.isMine()).toBe(false);
    }
    expect([one.isMine(), two.isMine()]).toEqual([false, true]);
    expect(lost).toEqual([false]);
    isCutOff = false;
    await clock.advanceAsync(2 * TTL_MS);
    expect([one.isMine(), two.isMine()]).toEqual([false, true]);
  });

  it('is not believed to be held by a process that stood still', async () => {
    const { clock, open } = world();
    const one = await open('one');
    // Its timers have not run yet.
    clock.jump(clock.now() + TTL_MS);
    expect(one.isMine()).toBe(false);
    await clock.advanceAsync(TTL_MS / 3);
    expect(one.isMine()).toBe(true);
    clock.jump(clock.now() - 60_000);
    expect(one.isMine()).toBe(false);
    await clock.advanceAsync(TTL_MS / 3);
    expect(one.isMine()).toBe(true);
  });

  it('compares no clocks', async () => {
    const { open } = world();
    const [early, late] = [new FakeClock(1_000_000), new FakeClock(9_000_000_000_000)];
    const one = await open('one', { clock: early });
    const two = await open('two', { clock: late });
    for (let ms = 0; ms < 4 * TTL_MS; ms += 500) {
      await early.advanceAsync(500);
      await late.advanceAsync(500);
    }
    expect([one.isMine(), two.isMine()]).toEqual([true, false]);
    await late.advanceAsync(TTL_MS * 1.1);
    expect(two.isMine()).toBe(true);
    await settle();
    expect(one.isMine()).toBe(false);
  });

  it('comes back at once to a server that was started again', async () => {
    const { bucket, open, clock } = world();
    const log = silentLog;
    // Of a process that was killed.
    await Lease.open({ bucket, key: 'duty.poll', holder: 'one', ttlMs: TTL_MS, clock, log });
    const one = await open('one');
    expect(one.isMine()).toBe(true);
  });

  it('takes up a write whose answer was lost', async () => {
    const { bucket, open, clock } = world();
    let isLost = true;
    const shaky = overBucket(bucket, {
      put: async (key, value, expected) => {
        const revision = await bucket.put(key, value, expected);
        return isLost ? await unavailable() : revision;
      },
    });
    const one = await open('one', { bucket: shaky });
    expect(one.isMine()).toBe(false);
    isLost = false;
    await clock.advanceAsync(TTL_MS / 15);
    expect(one.isMine()).toBe(true);
  });

  it('gets over what is damaged, and over a store that was set back', async () => {
    const { bucket, open, clock } = world();
    await bucket.put('duty.poll', Buffer.from('?'));
    const one = await open('one');
    expect(one.isMine()).toBe(false);
    await clock.advanceAsync(TTL_MS * 1.1);
    expect(one.isMine()).toBe(true);
    await bucket.delete('duty.poll');
    await settle();
    expect(one.isMine()).toBe(true);
  });

  it('writes no more than three times in its life', async () => {
    const { bucket, open, clock } = world();
    let writes = 0;
    const counted = overBucket(bucket, {
      put: (key, value, expected) => {
        writes++;
        return bucket.put(key, value, expected);
      },
    });
    await open('one', { bucket: counted });
    await open('two');
    await clock.advanceAsync(10 * TTL_MS);
    expect(writes).toBe(31);
  });
});
