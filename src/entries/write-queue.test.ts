import { describe, expect, it } from 'vitest';
import { settle } from '../../test/fakes/fake-clock.ts';
import { WriteQueue } from './write-queue.ts';

const full = (key: string) => new Error(`${key} is full`);

describe('WriteQueue', () => {
  it('runs the writes of a key one after the other, and goes on after one that fails', async () => {
    const queue = new WriteQueue(10, full);
    const order: string[] = [];
    const write = (name: string, fail = false) =>
      queue.run('a', async () => {
        order.push(`${name} begins`);
        await settle();
        order.push(`${name} ends`);
        if (fail) throw new Error(name);
        return name;
      });
    const all = await Promise.allSettled([write('1'), write('2', true), write('3')]);
    expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    const names = ['1', '2', '3'];
    expect(order).toEqual(names.flatMap((name) => [`${name} begins`, `${name} ends`]));
  });

  it('lets other keys go on', async () => {
    const queue = new WriteQueue(1, full);
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = queue.run('a', () => promise);
    expect(await queue.run('b', () => Promise.resolve('b'))).toBe('b');
    resolve();
    await waiting;
  });

  it('refuses one write too many, and takes another when one is done', async () => {
    const queue = new WriteQueue(2, full);
    const write = () => queue.run('a', settle);
    const waiting = [write(), write()];
    await expect(write()).rejects.toThrow('a is full');
    await Promise.all(waiting);
    await write();
  });
});
