import { expect, it } from 'vitest';
import { isLeftover, ownerOf, thisPlace } from './owner.ts';

const here = thisPlace();
const mine = ownerOf(process.pid);

it('leaves the containers of a living process alone, in whatever state they are', () => {
  for (const state of ['created', 'running', 'exited'])
    expect(isLeftover({ owner: mine, state }, here)).toBe(false);
});

it('takes those of a process that is gone, or whose id another one has by now', () => {
  const [place, pid, startTime] = mine.split(' ');
  const other = `${place} ${pid} ${Number(startTime) - 1}`;
  const gone = `${place} 4194305 ${startTime}`;
  for (const owner of [other, gone])
    for (const state of ['created', 'running', 'exited'])
      expect(isLeftover({ owner, state }, here)).toBe(true);
});

it('takes those of another machine, or another boot, only when they have ended', () => {
  const owner = mine.replace(here, 'another/pid:[1]');
  expect(isLeftover({ owner, state: 'running' }, here)).toBe(false);
  expect(isLeftover({ owner, state: 'created' }, here)).toBe(false);
  expect(isLeftover({ owner, state: 'exited' }, here)).toBe(true);
});
