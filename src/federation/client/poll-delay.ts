import { type Bundle, bundleRefreshSeconds } from '../../spiffe/index.ts';

/** No hint makes us ask more or less often. */
const LEAST_MS = 5_000;
const MOST_MS = 86_400_000;
const DEFAULT_MS = 300_000;
/** At most so much of it is taken away, so that not all ask at once. */
const JITTER = 0.1;

/**
 * Milliseconds until an endpoint is asked again, whatever came of asking: the refresh hint of the bundle
 * there is, else five minutes (SPIFFE Federation §4.1, §6.2).
 * @param random from 0 to 1
 */
export function pollDelayMs(bundle: Bundle | undefined, random: number): number {
  const hintMs = bundle === undefined ? DEFAULT_MS : bundleRefreshSeconds(bundle) * 1_000;
  const delayMs = Math.min(Math.max(hintMs, LEAST_MS), MOST_MS);
  return Math.round(delayMs * (1 - JITTER * random));
}
