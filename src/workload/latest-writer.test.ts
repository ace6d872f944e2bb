import { describe, expect, it } from 'vitest';
import { LatestWriter } from './latest-writer.ts';

function setUp() {
  const written: string[] = [];
  const waiting: (() => void)[] = [];
  const writer = new LatestWriter({
    write: (message, done) => {
      written.push(message.toString());
      waiting.push(done);
    },
  });
  return { writer, written, taken: () => waiting.shift()?.() };
}

describe('LatestWriter', () => {
  it('writes one at a time, and of those that wait only the latest', () => {
    const { writer, written, taken } = setUp();
    for (const text of ['a', 'b', 'c']) writer.offer(Buffer.from(text));
    expect(written).toEqual(['a']);
    taken();
    expect(written).toEqual(['a', 'c']);
    taken();
    writer.offer(Buffer.from('d'));
    expect(written).toEqual(['a', 'c', 'd']);
  });

  it('does not repeat what it wrote last', () => {
    const { writer, written, taken } = setUp();
    writer.offer(Buffer.from('a'));
    writer.offer(Buffer.from('b'));
    writer.offer(Buffer.from('a'));
    taken();
    writer.offer(Buffer.from('a'));
    expect(written).toEqual(['a']);
  });

  it('forgets what waits', () => {
    const { writer, written, taken } = setUp();
    writer.offer(Buffer.from('a'));
    writer.offer(Buffer.from('b'));
    writer.clear();
    taken();
    expect(written).toEqual(['a']);
  });
});
