/**
 * How long to wait after the `failures`th failure in a row (from 1): `firstMs` doubling to
 * `longestMs`, ±25 % by `random` (from 0 to 1).
 */
export function backoffMs(
  failures: number,
  random: number,
  { firstMs = 250, longestMs = 30_000 }: { firstMs?: number; longestMs?: number } = {},
): number {
  const doublings = Math.min(Math.max(failures - 1, 0), 20);
  return Math.round(Math.min(longestMs, firstMs * 2 ** doublings) * (0.75 + 0.5 * random));
}
