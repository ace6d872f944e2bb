import { describe, expect, it } from 'vitest';
import { settle } from '../../test/fakes/fake-clock.ts';
import { SharedReads } from './shared-reads.ts';

function world() {
  const begun: { readonly key: string; readonly answer: PromiseWithResolvers<string> }[] = [];
  const reads = new SharedReads((key: string) => {
    const answer = Promise.withResolvers<string>();
    begun.push({ key, answer });
    return answer.promise;
  });
  return { begun, reads };
}

describe('SharedReads', () => {
  it('gives what is asked for during a read the answer of the next, one for all', async () => {
    const { begun, reads } = world();
    const first = reads.read('a');
    const others = [reads.read('a'), reads.read('a')];
    expect(begun).toHaveLength(1);
    begun[0]?.answer.resolve('old');
    expect(await first).toBe('old');
    await settle();
    expect(begun).toHaveLength(2);
    const last = reads.read('a');
    begun[1]?.answer.resolve('new');
    expect(await Promise.all(others)).toEqual(['new', 'new']);
    await settle();
    begun[2]?.answer.resolve('newest');
    expect([await last, begun.length]).toEqual(['newest', 3]);
  });

  it('reads other keys meanwhile, and begins at once when nothing is under way', async () => {
    const { begun, reads } = world();
    const [a, b] = [reads.read('a'), reads.read('b')];
    expect(begun.map(({ key }) => key)).toEqual(['a', 'b']);
    for (const { key, answer } of begun) answer.resolve(key);
    expect(await Promise.all([a, b])).toEqual(['a', 'b']);
    await settle();
    void reads.read('a');
    expect(begun).toHaveLength(3);
  });

  it('tells a failure to those who asked for that read alone', async () => {
    const { begun, reads } = world();
    const first = reads.read('a');
    const second = reads.read('a');
    begun[0]?.answer.reject(new Error('broken'));
    await expect(first).rejects.toThrow('broken');
    await settle();
    begun[1]?.answer.resolve('whole');
    expect(await second).toBe('whole');
  });
});
