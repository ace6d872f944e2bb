import { expect, it } from 'vitest';
import { emptyBundle, TrustDomain } from '../../spiffe/index.ts';
import { pollDelayMs } from './poll-delay.ts';

const hinted = (refreshHintSeconds: number | undefined) => ({
  ...emptyBundle(TrustDomain.parse('b.test')),
  refreshHintSeconds,
});

it.each([
  [undefined, 300_000],
  [hinted(undefined), 300_000],
  [hinted(0), 300_000],
  [hinted(300), 75_000],
  [hinted(60), 15_000],
  [hinted(10), 10_000],
  [hinted(1), 5_000],
  [hinted(86_400), 21_600_000],
  [hinted(Number.MAX_SAFE_INTEGER), 21_600_000],
])(
  'of a bundle %j is a part of what it hints at within bounds, less up to a tenth (FED-6, BUNDLE-9)',
  (bundle, delayMs) => {
    expect(pollDelayMs(bundle, 0)).toBe(delayMs);
    expect(pollDelayMs(bundle, 1)).toBe(delayMs * 0.9);
  },
);
