import type { ControlPlane } from './control-plane.ts';

/** How soon the other servers know what changed in the store. */
const LEARNT_MS = 1_000;

/**
 * By when an SVID may say it was issued that any server issues before it knows of a change that is made now:
 * their clocks may be ahead, and they learn of it a little later. Milliseconds since the epoch.
 */
export function latestIssue({ directory }: Pick<ControlPlane, 'directory'>, now: number): number {
  return directory === undefined ? now : now + directory.clockAheadMs + LEARNT_MS;
}
