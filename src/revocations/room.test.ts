import { describe, expect, it } from 'vitest';
import { Room } from './room.ts';

describe('room', () => {
  it('is what is left beside what is in force, however much is outdated', () => {
    const held = { size: 10, outdated: 3, looked: 0 };
    const room = new Room(10, {
      size: () => held.size,
      outdated() {
        held.looked += 1;
        return held.outdated;
      },
    });
    const taken = Array.from({ length: 3 }, () => {
      const isTaken = room.take();
      held.size += 1;
      return isTaken;
    });
    expect(taken).toEqual([true, true, true]);
    // Looking is not quick: once was enough for all of them.
    expect(held.looked).toBe(1);
    expect(room.take()).toBe(false);
    held.outdated = 0;
    held.size = 9;
    expect(room.take()).toBe(true);
    held.size = 10;
    expect(room.take()).toBe(false);
  });
});
