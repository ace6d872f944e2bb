import { expect, it } from 'vitest';
import { silentLog } from '../ops/index.ts';
import { ClockSkew } from './clock-skew.ts';

const NOW = Date.parse('2026-05-01T12:00:00Z');

function opened() {
  const ahead: number[] = [];
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (_: object, message: string) => warnings.push(message) };
  const skew = new ClockSkew({
    metrics: { clockAhead: { set: (value) => ahead.push(value) } },
    log,
  });
  const take = (serverAheadMs: number, tookMs = 40): void =>
    skew.take({
      server: 'a.test:8081',
      askedAt: NOW,
      serverTime: NOW + serverAheadMs,
      answeredAt: NOW + tookMs,
    });
  return { skew, take, ahead, warnings };
}

it('counts only what no delay explains', () => {
  const { skew, take, ahead } = opened();
  take(20);
  take(9_000, 10_000);
  expect(ahead).toEqual([0, 0]);
  expect(skew.fault).toBeUndefined();
});

it('names the side and the server, once as long as it lasts (F16)', () => {
  const { skew, take, ahead, warnings } = opened();
  take(60_040);
  take(61_040);
  expect(ahead).toEqual([-60, -61]);
  expect(skew.fault).toBe(
    'the clock of this host is 61 s behind that of the server a.test:8081; one of them is to be set',
  );
  expect(warnings).toHaveLength(1);
  take(-60_000);
  expect(skew.fault).toContain('is 60 s ahead of that of the server');
  expect(ahead.at(-1)).toBe(60);
  take(0);
  expect(skew.fault).toBeUndefined();
});
