import { Metadata } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { readServerTime, ServerTime } from './server-time.ts';

describe('ServerTime', () => {
  it('says what the clock shows with each answer, also when it is set back', () => {
    let now = 1_000;
    const time = new ServerTime(() => now);
    const first = time.within(undefined);
    now = 2_000;
    const second = time.within(undefined);
    now = 1_500;
    expect([first, second, time.within(undefined)].map(readServerTime)).toEqual([
      1_000, 2_000, 1_500,
    ]);
  });

  it('leaves the trailers of a handler as they are', () => {
    const trailers = new Metadata();
    trailers.set('retry-after', '1');
    const time = new ServerTime(() => 3_000);
    const told = time.within(trailers);
    expect(readServerTime(told)).toBe(3_000);
    expect(told.get('retry-after')).toEqual(['1']);
    expect(readServerTime(trailers)).toBeUndefined();
    expect(time.within(undefined).get('retry-after')).toEqual([]);
  });
});
