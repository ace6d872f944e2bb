import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { streamRetryDelayMs } from './retry-delay.ts';

describe('streamRetryDelayMs', () => {
  it.each([status.INVALID_ARGUMENT, status.UNIMPLEMENTED])(
    'never tries again after %i (WLEP-7, WLAPI-17)',
    (code) => {
      expect([0, 1, 9].map((failures) => streamRetryDelayMs(code, failures, 0.5))).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
    },
  );

  it.each([status.UNAVAILABLE, status.PERMISSION_DENIED, status.INTERNAL, status.OK])(
    'backs off after %i (WLEP-7)',
    (code) => {
      const delays = [1, 2, 3, 6, 7, 1000].map((failures) =>
        streamRetryDelayMs(code, failures, 0.5),
      );
      expect(delays).toEqual([100, 200, 400, 3_200, 5_000, 5_000]);
      expect(streamRetryDelayMs(code, 1, 0)).toBe(75);
      expect(streamRetryDelayMs(code, 1, 1)).toBe(125);
    },
  );

  it('reconnects at once when a stream that worked was closed (WLAPI-6)', () => {
    expect(streamRetryDelayMs(status.OK, 0, 0.5)).toBe(0);
    expect(streamRetryDelayMs(status.UNAVAILABLE, 0, 0.5)).toBe(0);
    expect(streamRetryDelayMs(status.PERMISSION_DENIED, 0, 0.5)).toBe(100);
  });
});
