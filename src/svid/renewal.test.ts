import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renewAt, retryDelayMs } from './renewal.ts';

const instant = fc.integer({ min: 0, max: 4e12 });
const lifeMs = fc.integer({ min: 1_000, max: 30 * 86_400_000 });
const random = fc.double({ min: 0, max: 1, noNaN: true });

describe('renewAt', () => {
  it('is half of the life, ±10 % of that half', () => {
    fc.assert(
      fc.property(instant, lifeMs, random, (issuedAt, life, random) => {
        const after = renewAt(issuedAt, issuedAt + life, random) - issuedAt;
        expect(after).toBeGreaterThanOrEqual(Math.floor(life * 0.45));
        expect(after).toBeLessThanOrEqual(Math.ceil(life * 0.55));
      }),
    );
  });

  it('uses the whole width of the jitter', () => {
    expect([0, 0.5, 1].map((random) => renewAt(1000, 1000 + 3_600_000, random))).toEqual([
      1000 + 1_620_000,
      1000 + 1_800_000,
      1000 + 1_980_000,
    ]);
  });

  it('is at once for what has expired already', () => {
    expect(renewAt(5_000, 4_000, 0.5)).toBe(5_000);
  });
});

describe('retryDelayMs', () => {
  it('doubles from 250 ms to 30 s', () => {
    const delays = [1, 2, 3, 8, 9, 1000].map((failures) => retryDelayMs(failures, undefined, 0.5));
    expect(delays).toEqual([250, 500, 1_000, 30_000, 30_000, 30_000]);
  });

  it('leaves room for several attempts before the SVID in use expires', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), lifeMs, random, (failures, left, random) => {
        const delay = retryDelayMs(failures, left, random);
        expect(delay).toBeGreaterThanOrEqual(100);
        expect(delay).toBeLessThanOrEqual(Math.max(100, Math.ceil(left / 4)));
      }),
    );
  });
});
