const JITTER = 0.1;
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 30_000;
const SHORTEST_RETRY_MS = 100;

/**
 * When to replace an SVID: at half of its life, ±10 % of that half by `random` (from 0 to 1). Life
 * begins at issuance, not at the backdated notBefore, so that SVIDs of seconds renew in time.
 * Milliseconds since the epoch, all three.
 */
export function renewAt(issuedAt: number, expiresAt: number, random: number): number {
  const half = Math.max(0, expiresAt - issuedAt) / 2;
  return issuedAt + Math.round(half * (1 - JITTER + 2 * JITTER * random));
}

/**
 * How long to wait after the `failures`th failure in a row (from 1): 250 ms doubling to 30 s, ±25 %,
 * and never more than a quarter of what is left of the SVID in use (undefined: there is none).
 */
export function retryDelayMs(failures: number, leftMs: number | undefined, random: number): number {
  const backoff = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
  const jittered = backoff * (0.75 + 0.5 * random);
  const bound = leftMs === undefined ? jittered : Math.min(jittered, leftMs / 4);
  return Math.round(Math.max(bound, SHORTEST_RETRY_MS));
}
