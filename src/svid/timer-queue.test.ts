import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { TimerQueue } from './timer-queue.ts';

function setUp() {
  const clock = new FakeClock(0);
  const fired: [string, number][] = [];
  const rewinds: number[] = [];
  const queue = new TimerQueue<string>(
    clock,
    (keys) => fired.push(...keys.map((key): [string, number] => [key, clock.now()])),
    () => rewinds.push(clock.now()),
  );
  return { clock, queue, fired, rewinds };
}

describe('TimerQueue', () => {
  it('fires each key once, at its last appointed time, with one timer for all', () => {
    const step = fc.record({
      key: fc.integer({ min: 0, max: 20 }).map(String),
      at: fc.option(fc.integer({ min: 1, max: 100_000 })),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const { clock, queue, fired } = setUp();
        const expected = new Map<string, number>();
        for (const { key, at } of steps) {
          if (at === null) {
            queue.cancel(key);
            expected.delete(key);
          } else {
            queue.schedule(key, at);
            expected.set(key, at);
          }
        }
        expect(queue.size).toBe(expected.size);
        expect(clock.timers).toBe(expected.size === 0 ? 0 : 1);
        clock.advance(200_000);
        expect(new Map(fired)).toEqual(expected);
        expect(fired.map(([, at]) => at)).toEqual([...expected.values()].sort((a, b) => a - b));
        expect([queue.size, clock.timers]).toEqual([0, 0]);
      }),
    );
  });

  it('gives keys that are due together in one call', () => {
    const clock = new FakeClock(0);
    const calls: (readonly string[])[] = [];
    const queue = new TimerQueue<string>(
      clock,
      (keys) => calls.push(keys),
      () => {},
    );
    for (const key of ['a', 'b', 'c']) queue.schedule(key, 1_000);
    clock.advance(1_000);
    expect(calls.map((keys) => [...keys].sort())).toEqual([['a', 'b', 'c']]);
  });

  it('may be scheduled from within', () => {
    const clock = new FakeClock(0);
    const times: number[] = [];
    const queue: TimerQueue<string> = new TimerQueue(
      clock,
      () => {
        times.push(clock.now());
        if (times.length < 4) queue.schedule('a', clock.now() + 10);
      },
      () => {},
    );
    queue.schedule('a', 10);
    clock.advance(1_000);
    expect(times).toEqual([10, 20, 30, 40]);
  });

  it('notices within 5 s that the wall clock was set forward', () => {
    const { clock, queue, fired } = setUp();
    queue.schedule('a', 3_600_000);
    clock.advance(1_000);
    clock.jump(7_200_000);
    clock.advance(5_000);
    expect(fired).toEqual([['a', 7_204_000]]);
  });

  it('tells once that the wall clock was set back by more than 30 s, and keeps the appointments', () => {
    const { clock, queue, fired, rewinds } = setUp();
    clock.advance(100_000);
    queue.schedule('a', 110_000);
    clock.jump(10_000);
    clock.advance(10_000);
    expect([rewinds, fired]).toEqual([[15_000], []]);
    clock.advance(90_000);
    expect(fired).toEqual([['a', 110_000]]);
    expect(rewinds).toHaveLength(1);
  });

  it('does not keep what is moved or cancelled in memory', () => {
    const { clock, queue } = setUp();
    for (let i = 0; i < 100_000; i++) queue.schedule('a', 1_000_000 + i);
    for (let i = 0; i < 1_000; i++) {
      queue.schedule(`b${i}`, 1_000_000);
      queue.cancel(`b${i}`);
    }
    expect(queue.backlog).toBeLessThan(200);
    queue.close();
    expect([queue.size, queue.backlog, clock.timers]).toEqual([0, 0, 0]);
  });
});
