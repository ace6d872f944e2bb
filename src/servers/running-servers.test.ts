import { expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { silentLog } from '../ops/index.ts';
import { createMemoryStore, Lease } from '../store/index.ts';
import { findRunningServer } from './running-servers.ts';

const TTL_MS = 15_000;

function world() {
  const clock = new FakeClock();
  const bucket = createMemoryStore({ clock }).bucket('leases');
  const run = async (name: string): Promise<Lease> =>
    await Lease.open({
      bucket,
      key: `server.${name}`,
      holder: `life of ${name}`,
      ttlMs: TTL_MS,
      clock,
      log: silentLog,
    });
  return { clock, bucket, run };
}

it('finds none in a store that nobody uses, at once', async () => {
  const { clock, bucket, run } = world();
  expect(await findRunningServer(bucket, clock)).toBeUndefined();
  await (await run('one')).close();
  expect(await findRunningServer(bucket, clock)).toBeUndefined();
});

it('finds one that runs beside one that died', async () => {
  const { clock, bucket, run } = world();
  await bucket.put('server.dead', Buffer.from('{}'));
  const running = await run('one');
  const found = findRunningServer(bucket, clock);
  await settle();
  await clock.advanceAsync(TTL_MS / 3);
  expect(await found).toBe('one');
  await running.close();
});

it('takes one for dead whose lease is not renewed in its time, and one that ended for gone', async () => {
  const { clock, bucket, run } = world();
  await bucket.put('server.dead', Buffer.from('{}'));
  const running = await run('one');
  const found = findRunningServer(bucket, clock);
  await settle();
  await running.close();
  await clock.advanceAsync(TTL_MS);
  await bucket.put('duty.sweep', Buffer.from('{}'));
  const late: unknown[] = [];
  void found.then((name) => late.push(name));
  await settle();
  expect(late).toEqual([]);
  await clock.advanceAsync(TTL_MS * 0.1);
  expect(await found).toBeUndefined();
});
