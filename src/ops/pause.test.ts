import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { pause } from './pause.ts';

it('ends with its time, and leaves nothing behind', async () => {
  const clock = new FakeClock();
  const { signal } = new AbortController();
  let isOver = false;
  const over = pause(clock, 1_000, signal).then(() => (isOver = true));
  clock.advance(999);
  await settle();
  expect(isOver).toBe(false);
  clock.advance(1);
  await over;
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

it('ends when it is given up, before it begins too', async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const over = pause(clock, 1_000, stop.signal);
  stop.abort();
  await over;
  await pause(clock, 1_000, stop.signal);
  expect(clock.timers).toBe(0);
});
