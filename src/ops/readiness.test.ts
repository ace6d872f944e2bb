import { expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { Readiness } from './readiness.ts';

it('tells those who watch when readiness changes, without being asked', () => {
  const clock = new FakeClock();
  const readiness = new Readiness(clock);
  const told: boolean[] = [];
  let fault: string | undefined;
  readiness.require('store', () => fault);
  readiness.watch((isReady) => told.push(isReady));
  readiness.start();
  clock.advance(5_000);
  expect(told).toEqual([false, true]);
  fault = 'it is full';
  clock.advance(1_000);
  expect(told).toEqual([false, true, false]);
  fault = undefined;
  clock.advance(1_000);
  readiness.stop();
  clock.advance(5_000);
  expect(told).toEqual([false, true, false, true, false]);
});
