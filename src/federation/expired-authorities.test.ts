import { describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { silentLog } from '../ops/index.ts';
import { withdrawExpiredAuthorities } from './expired-authorities.ts';

const HOUR_MS = 3_600_000;

describe('what has expired', () => {
  it('is taken out at once and every hour, a day late, whether or not it worked before', async () => {
    const clock = new FakeClock();
    const start = clock.now();
    const asked: number[] = [];
    const publisher = {
      withdrawExpired: async (instant: number): Promise<void> => {
        asked.push(instant - start);
        if (asked.length === 1) throw new Error('disk full');
        await Promise.resolve();
      },
    };
    const withdrawal = withdrawExpiredAuthorities({ publisher, clock, log: silentLog });
    await settle();
    await clock.advanceAsync(2 * HOUR_MS);
    expect(asked).toEqual([-24, -23, -22].map((hours) => hours * HOUR_MS));
    await withdrawal.close();
    await clock.advanceAsync(2 * HOUR_MS);
    expect([asked.length, clock.timers]).toEqual([3, 0]);
  });
});
