import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { overBucket } from '../../test/fakes/over-bucket.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { type Bucket, createMemoryStore } from '../store/index.ts';
import { ServerDirectory, type ServerDirectoryOptions } from './server-directory.ts';

const TTL_MS = 15_000;
let lives = 0;

function world() {
  const clock = new FakeClock();
  const bucket = createMemoryStore({ clock }).bucket('leases');
  const join = async (serverId: string, more: Partial<ServerDirectoryOptions> = {}) => {
    const replaced: TrustplaneError[] = [];
    const metrics = createMetrics();
    const directory = await ServerDirectory.join({
      bucket,
      serverId,
      incarnation: `life-${++lives}`,
      place: undefined,
      version: '1.0.0',
      clock,
      log: silentLog,
      metrics,
      onReplaced: (error) => replaced.push(error),
      ...more,
    });
    onTestFinished(() => directory.close());
    await settle();
    return { directory, replaced, metrics };
  };
  return { clock, bucket, join };
}

/** A bucket that a server loses the way to. */
function severable(bucket: Bucket): { readonly bucket: Bucket; sever(): void } {
  let isSevered = false;
  const check = (): void => {
    if (isSevered) throw new TrustplaneError('ERR_STORE_UNAVAILABLE', 'cut off');
  };
  return {
    bucket: overBucket(bucket, {
      put: async (...args) => (check(), await bucket.put(...args)),
      delete: async (...args) => (check(), await bucket.delete(...args)),
      get: async (...args) => (check(), await bucket.get(...args)),
    }),
    sever() {
      isSevered = true;
    },
  };
}

describe('ServerDirectory', () => {
  it('knows the others, where they are and what they say', async () => {
    const { clock, join } = world();
    const one = await join('one');
    const { directory: two, metrics } = await join('two');
    one.directory.sayAddress('10.0.0.1:8081');
    one.directory.sayWhatSigns(() => 'ab');
    await clock.advanceAsync(200);
    expect(two.others).toMatchObject([
      { serverId: 'one', isLive: true, record: { address: '10.0.0.1:8081', signsWith: 'ab' } },
    ]);
    expect([two.othersSign, one.directory.othersSign]).toEqual([true, false]);
    expect(two.own).toMatchObject({ serverId: 'two', address: undefined });
    expect(await metrics.render()).toContain('trustplane_servers_current_count 2');
  });

  it('tells what its agents have within a moment, and writes nothing when nothing changed', async () => {
    const { clock, join, bucket } = world();
    let writes = 0;
    const counted = overBucket(bucket, {
      put: (...args) => {
        writes++;
        return bucket.put(...args);
      },
    });
    const one = await join('one', { bucket: counted });
    const two = await join('two');
    const evidence = { known: ['A'.repeat(22)], behind: [], laggards: [], readers: [] };
    one.directory.setEvidence(() => evidence);
    await clock.advanceAsync(200);
    expect(two.directory.others[0]?.record?.evidence).toEqual(evidence);
    const before = writes;
    for (let i = 0; i < 10; i++) {
      one.directory.sayChanged();
      await clock.advanceAsync(100);
    }
    expect(writes - before).toBe(0);
  });

  it('refuses an ID that a running server has, and leaves that alone', async () => {
    const { clock, join } = world();
    const one = await join('one');
    const second = join('one');
    second.catch(() => {});
    await clock.advanceAsync(TTL_MS);
    await expect(second).rejects.toMatchObject({ code: 'ERR_SERVER_ID_TAKEN' });
    await clock.advanceAsync(10 * TTL_MS);
    expect([one.directory.isStanding, one.replaced]).toEqual([true, []]);
  });

  it('waits for the lease of a process that died with its ID elsewhere', async () => {
    const { clock, bucket, join } = world();
    const cut = severable(bucket);
    await join('one', { bucket: cut.bucket });
    cut.sever();
    let isJoined = false;
    const second = join('one').then((joined) => {
      isJoined = true;
      return joined;
    });
    await clock.advanceAsync(TTL_MS);
    expect(isJoined).toBe(false);
    await clock.advanceAsync(TTL_MS * 0.1);
    expect((await second).directory.isStanding).toBe(true);
  });

  it('takes the ID at once where the process before it held the same data directory', async () => {
    const { bucket, join } = world();
    const cut = severable(bucket);
    const first = await join('one', { bucket: cut.bucket, place: 'here' });
    cut.sever();
    const { directory } = await join('one', { place: 'here' });
    expect(directory.isStanding).toBe(true);
    // What else than a ghost could still be there.
    expect(first.replaced).toMatchObject([{ code: 'ERR_SERVER_ID_TAKEN' }]);
  });

  it('holds what a dead server wrote for 30 s after its lease, and what one that stopped wrote for 30 s', async () => {
    const { clock, bucket, join } = world();
    const cut = severable(bucket);
    const dead = await join('dead', { bucket: cut.bucket });
    const stopped = await join('stopped');
    const { directory } = await join('one');
    const seen = () => directory.others.map(({ serverId, isLive }) => [serverId, isLive]);
    expect(seen()).toEqual([
      ['dead', true],
      ['stopped', true],
    ]);
    cut.sever();
    await stopped.directory.close();
    await settle();
    expect(seen()).toEqual([
      ['dead', true],
      ['stopped', false],
    ]);
    await clock.advanceAsync(TTL_MS * 1.1);
    expect(seen()).toEqual([
      ['dead', false],
      ['stopped', false],
    ]);
    await clock.advanceAsync(30_000 - TTL_MS * 1.1);
    expect(seen()).toEqual([['dead', false]]);
    await clock.advanceAsync(TTL_MS * 1.1);
    expect(seen()).toEqual([]);
    expect(dead.directory.isStanding).toBe(false);
  });

  it('tells a server that was cut off that the others take it for gone, before they do', async () => {
    const { clock, bucket, join } = world();
    const cut = severable(bucket);
    const one = await join('one', { bucket: cut.bucket });
    const { directory: two } = await join('two');
    const told: unknown[] = [];
    one.directory.watchStanding((isStanding) => told.push([isStanding, two.others[0]?.isLive]));
    cut.sever();
    await clock.advanceAsync(3 * TTL_MS);
    expect(told).toEqual([[false, true]]);
  });

  it('tells how far ahead the clock of another is', async () => {
    const { clock, join } = world();
    const late = new FakeClock(clock.now() + 30_000);
    await join('late', { clock: late });
    const { directory } = await join('one');
    expect(directory.clockAheadMs).toBe(0);
    for (let ms = 0; ms < TTL_MS; ms += 100) {
      await clock.advanceAsync(100);
      await late.advanceAsync(100);
    }
    expect(directory.clockAheadMs).toBeGreaterThanOrEqual(29_900);
    expect(directory.clockAheadMs).toBeLessThanOrEqual(30_000);
  });
});
