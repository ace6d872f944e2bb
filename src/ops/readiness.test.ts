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

it('shows what a part goes by beside its health, at fault or not', () => {
  const readiness = new Readiness(new FakeClock());
  let fault: string | undefined;
  readiness.observe('policies', () => fault);
  readiness.describe('policies', () => '2 rules');
  const shown = () => readiness.check().checks.find(({ name }) => name === 'policies');
  expect(shown()).toMatchObject({ fault: undefined, detail: '2 rules' });
  fault = 'the last edit was refused';
  expect(shown()).toMatchObject({ fault, detail: '2 rules' });
});
