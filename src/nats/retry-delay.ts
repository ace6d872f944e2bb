const FIRST_MS = 250;
const LONGEST_MS = 5_000;

/** How long to wait after the `failures`th failure in a row (from 1): 250 ms doubling to 5 s, ±50 % by `random` (from 0 to 1). */
export function retryDelayMs(failures: number, random: number): number {
  const doublings = Math.min(Math.max(failures - 1, 0), 20);
  return Math.round(Math.min(LONGEST_MS, FIRST_MS * 2 ** doublings) * (0.5 + random));
}
