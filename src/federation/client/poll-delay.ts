import type { Bundle } from '../../spiffe/index.ts';

/** No hint makes us ask more or less often. */
const LEAST_MS = 5_000;
const MOST_MS = 86_400_000;
const DEFAULT_MS = 300_000;
/** Of a hint: who asks more than once within it knows a new authority well before it may sign. */
const ASKS = 4;
/** Unless the hint itself is shorter. */
const LEAST_BETWEEN_ASKS_MS = 15_000;
/** At most so much of it is taken away, so that not all ask at once. */
const JITTER = 0.1;

/**
 * Milliseconds until an endpoint is asked again, whatever came of asking: a quarter of the refresh hint of
 * the bundle there is, but at least 15 s, or the hint itself; five minutes where there is no hint (SPIFFE
 * Federation §4.1, §6.2, which would have it asked once within the hint; most answers are 304).
 * @param random from 0 to 1
 */
export function pollDelayMs(bundle: Bundle | undefined, random: number): number {
  return Math.round(delayMsOf(bundle?.refreshHintSeconds) * (1 - JITTER * random));
}

/** A hint of 0 is none. */
function delayMsOf(hintSeconds: number | undefined): number {
  if (hintSeconds === undefined || hintSeconds === 0) return DEFAULT_MS;
  const hintMs = Math.min(Math.max(hintSeconds * 1_000, LEAST_MS), MOST_MS);
  return Math.min(hintMs, Math.max(hintMs / ASKS, LEAST_BETWEEN_ASKS_MS));
}
