import { expect, it } from 'vitest';
import { settle } from '../../../test/fakes/fake-clock.ts';
import { FairTurns } from './fair-turns.ts';

it('lets two go on at once, and the users that wait take turns', async () => {
  const turns = new FairTurns({ max: 2, maxWaitingPerUser: 3 });
  const begun: string[] = [];
  let running = 0;
  let most = 0;
  const run = (uid: number, name: string) =>
    turns.run(uid, async () => {
      begun.push(name);
      most = Math.max(most, ++running);
      await settle();
      running -= 1;
      return name;
    });
  const all = [run(1, 'a'), run(1, 'b'), run(1, 'c'), run(1, 'd'), run(1, 'e'), run(1, 'f')];
  all.push(run(2, 'x'), run(2, 'y'));
  expect(await Promise.all(all)).toEqual(['a', 'b', 'c', 'd', 'e', undefined, 'x', 'y']);
  expect(begun).toEqual(['a', 'b', 'c', 'x', 'd', 'y', 'e']);
  expect(most).toBe(2);
});

it('goes on after work that fails', async () => {
  const turns = new FairTurns({ max: 1, maxWaitingPerUser: 3 });
  const failed = turns.run(1, () => Promise.reject(new Error('broken')));
  const next = turns.run(1, () => Promise.resolve('next'));
  await expect(failed).rejects.toThrow('broken');
  expect(await next).toBe('next');
});
