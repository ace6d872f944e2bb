import { describe, expect, it } from 'vitest';
import { LargeWrites } from './large-writes.ts';

const LARGE = 2 * 1024 * 1024;

describe('large responses', () => {
  it('go to one process one after the other, in the order they came', () => {
    const writes = new LargeWrites();
    const turns: string[] = [];
    const [a, b, c] = ['a', 'b', 'c'].map((name) => () => void turns.push(name));
    if (a === undefined || b === undefined || c === undefined) throw new Error('three');
    expect(writes.enter(1, LARGE, a)).toBe(true);
    expect(writes.enter(1, LARGE, b)).toBe(false);
    expect(writes.enter(1, LARGE, c)).toBe(false);
    expect(writes.enter(1, LARGE, b)).toBe(false);
    expect(writes.enter(1, LARGE, a)).toBe(true);
    writes.leave(1, a);
    expect(turns).toEqual(['b']);
    expect([writes.enter(1, LARGE, b), writes.enter(1, LARGE, a)]).toEqual([true, false]);
    // One that is closed leaves the line.
    writes.leave(1, c);
    writes.leave(1, b);
    expect(turns).toEqual(['b', 'a']);
  });

  it('hold up neither small ones nor other processes', () => {
    const writes = new LargeWrites();
    expect(writes.enter(1, LARGE, () => {})).toBe(true);
    expect(writes.enter(1, 1_000, () => {})).toBe(true);
    expect(writes.enter(2, LARGE, () => {})).toBe(true);
  });
});
