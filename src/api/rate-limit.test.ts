import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { RateLimit } from './rate-limit.ts';

function create(ratePerSecond: number, more: { maxWaiting?: number; maxWaitMs?: number } = {}) {
  const clock = new FakeClock();
  const options = { what: 'calls', ratePerSecond, maxWaiting: 100, maxWaitMs: 60_000, clock };
  const limit = new RateLimit({ ...options, ...more });
  const admitted: string[] = [];
  /** Takes; what is admitted is noted. */
  const call = (name: string, source = 'a', tokens = 1) => {
    const place = limit.take(source, tokens);
    if (place === undefined) admitted.push(name);
    else void place.admitted.then(() => admitted.push(name));
    return place;
  };
  return { clock, limit, admitted, call };
}

describe('a rate limit', () => {
  it('admits a burst of one second, then one after the other in the order they came', async () => {
    const { clock, admitted, call } = create(2);
    for (const name of ['1', '2', '3', '4', '5']) call(name);
    expect(admitted).toEqual(['1', '2']);
    await clock.advanceAsync(499);
    expect(admitted).toEqual(['1', '2']);
    await clock.advanceAsync(1);
    expect(admitted).toEqual(['1', '2', '3']);
    await clock.advanceAsync(1_000);
    expect(admitted).toEqual(['1', '2', '3', '4', '5']);
  });

  it('lets nobody pass who comes when others wait', async () => {
    const { clock, admitted, call } = create(1);
    call('1');
    call('2', 'a', 1);
    clock.advance(900);
    call('3');
    await clock.advanceAsync(100);
    expect(admitted).toEqual(['1', '2']);
  });

  it('holds each source to its own bucket', () => {
    const { admitted, call } = create(1);
    for (let n = 0; n < 50; n++) call(`a${n}`, 'a');
    call('b', 'b');
    expect(admitted).toEqual(['a0', 'b']);
  });

  it('counts what is in a batch, and lets one larger than the bucket leave a debt', async () => {
    const { clock, admitted, call } = create(10);
    call('25', 'a', 25);
    call('5', 'a', 5);
    expect(admitted).toEqual(['25']);
    await clock.advanceAsync(1_999);
    expect(admitted).toEqual(['25']);
    await clock.advanceAsync(1);
    expect(admitted).toEqual(['25', '5']);
  });

  it('refuses at once whoever would wait behind too many, or too long', () => {
    const many = create(1, { maxWaiting: 2 });
    for (const name of ['1', '2', '3']) many.call(name);
    expect(() => many.call('4')).toThrow(
      expect.objectContaining({
        code: 'ERR_API_RATE_LIMIT',
        message: expect.stringContaining('at most 1 calls a second from one address: 2 calls of a'),
      }),
    );
    expect(many.call('b', 'b')).toBeUndefined();
    const long = create(1, { maxWaitMs: 2_000 });
    for (const name of ['1', '2', '3']) long.call(name);
    expect(() => long.call('4')).toThrow('try again later');
  });

  it('gives the place of who leaves to the next', async () => {
    const { clock, admitted, call } = create(1);
    call('1');
    const place = call('2', 'a', 1);
    call('3');
    place?.leave();
    await clock.advanceAsync(1_000);
    expect(admitted).toEqual(['1', '3']);
  });

  it('takes a new rate for those that wait as well, and none at all', async () => {
    const { clock, limit, admitted, call } = create(1);
    for (const name of ['1', '2', '3', '4']) call(name);
    limit.setRate(100);
    await clock.advanceAsync(10);
    expect(admitted).toEqual(['1', '2']);
    limit.setRate(0);
    await clock.advanceAsync(0);
    expect(admitted).toEqual(['1', '2', '3', '4']);
    for (let n = 0; n < 1_000; n++) call('more');
    expect(admitted).toHaveLength(1_004);
  });

  it('admits again after the clock was set back', async () => {
    const { clock, admitted, call } = create(1);
    call('1');
    clock.jump(clock.now() - 3_600_000);
    call('2');
    await clock.advanceAsync(1_000);
    expect(admitted).toEqual(['1', '2']);
  });

  it('forgets sources that have been quiet', () => {
    const { clock, limit, admitted, call } = create(1);
    for (let n = 0; n < 5_000; n++) {
      call('x', `source ${n}`);
      clock.advance(10);
    }
    expect(admitted).toHaveLength(5_000);
    expect(limit.sourceCount).toBeLessThan(1_200);
  });
});
