import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { patchedBucket } from '../../test/fakes/open-registry.ts';
import { createLog, createMetrics } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { openValue } from './sealed-value.ts';
import { SealedWriter } from './sealed-writer.ts';

const text = (value: string) => () => Buffer.from(value);

function open() {
  const clock = new FakeClock();
  const bucket = createMemoryStore({ clock }).bucket('agents');
  const seal = { key: randomBytes(32), random: randomBytes };
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line) => lines.push(line) } });
  const world = { failure: undefined as Error | undefined, puts: [] as string[] };
  const patched = patchedBucket(bucket, {
    put: async (key, value) => {
      world.puts.push(key);
      if (world.failure !== undefined) throw world.failure;
      return await bucket.put(key, value);
    },
  });
  const metrics = createMetrics();
  const writer = new SealedWriter({ bucket: patched, seal, clock, log, metrics });
  const read = async () => {
    const { records } = await bucket.list('');
    return Object.fromEntries(
      records.map(({ key, value }) => [key, openValue(seal, key, value).toString()]),
    );
  };
  return { clock, world, writer, lines, read, metrics };
}

describe('writing', () => {
  it('brings each name to the latest that was said of it, and no more often than needed', async () => {
    const { writer, world, read } = open();
    await Promise.all([
      writer.write([
        ['a', text('1')],
        ['b', text('1')],
      ]),
      writer.write([['a', text('2')]]),
      writer.write([['a', text('3')]]),
    ]);
    expect(await read()).toEqual({ a: '3', b: '1' });
    expect(world.puts.length).toBeLessThanOrEqual(4);
    expect(await writer.write([['a', () => undefined]])).toBeUndefined();
    expect(await read()).toEqual({ b: '1' });
  });

  it('that fails is said, survived, and tried again with what is the latest then', async () => {
    const { writer, world, clock, lines, read, metrics } = open();
    world.failure = new TrustplaneError('ERR_STORE_FULL', 'no room');
    const outcome = await writer.write([
      ['a', text('1')],
      ['b', text('1')],
    ]);
    expect(outcome).toBe(world.failure);
    expect(lines.join('')).toMatch(/"code":"ERR_STORE_FULL".*the cache cannot be written/);
    await clock.advanceAsync(5_000);
    await writer.write([['a', text('2')]]);
    expect(await read()).toEqual({});
    const rendered = await metrics.render();
    expect(rendered).toMatch(/^trustplane_node_cache_failures_total 3$/m);
    expect(rendered).toMatch(/^trustplane_node_cache_waiting_values 2$/m);
    world.failure = undefined;
    await clock.advanceAsync(5_000);
    await settle();
    expect(await read()).toEqual({ a: '2', b: '1' });
    const puts = world.puts.length;
    await clock.advanceAsync(60_000);
    expect(world.puts).toHaveLength(puts);
    expect(clock.timers).toBe(0);
  });

  it('is given up when the store is gone for good', async () => {
    const { writer, world, clock } = open();
    world.failure = new TrustplaneError('ERR_STORE_UNAVAILABLE', 'the thread ended');
    await writer.write([['a', text('1')]]);
    expect(clock.timers).toBe(0);
  });

  it('ends with one more attempt', async () => {
    const { writer, world, clock, read } = open();
    world.failure = new Error('no room');
    await writer.write([['a', text('1')]]);
    world.failure = undefined;
    await writer.close();
    expect(await read()).toEqual({ a: '1' });
    expect(clock.timers).toBe(0);
  });

  it('does not stop at a value that cannot be made', async () => {
    const { writer, read } = open();
    await writer.write([
      [
        'a',
        () => {
          throw new Error('a defect');
        },
      ],
      ['b', text('1')],
    ]);
    expect(await read()).toEqual({ b: '1' });
    await writer.close();
  });
});
