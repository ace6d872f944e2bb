import { readFileSync } from 'node:fs';
import type { Log } from '../ops/index.ts';

/** Descriptors that stay free for files, the store and outgoing connections. */
const RESERVED = 512;

/** What one user, whose connections may each be of another process, may take of all. */
const SHARE_OF_USER = 0.75;
/** The connection and the pidfd of its process. */
const MOST_DESCRIPTORS_EACH = 2;

/** How many of `wanted` connections this process has descriptors for; it would lose more than connections beyond. */
export function affordableConnections(wanted: number, log: Log): number {
  const maxConnections = limitConnections(wanted, readLimits());
  if (maxConnections < wanted) {
    log.info(
      { wanted, maxConnections },
      'the limit on open files (ulimit -n) allows fewer connections',
    );
  }
  return maxConnections;
}

/** How many of `maxConnections` one user may have, so that neither they nor the descriptors run out for the others. */
export function affordablePerUser(maxConnections: number): number {
  const affordable = limitConnections(maxConnections, readLimits(), MOST_DESCRIPTORS_EACH);
  return Math.ceil(affordable * SHARE_OF_USER);
}

function readLimits(): string {
  return readFileSync('/proc/self/limits', 'latin1');
}

/** @param limits the text of /proc/<pid>/limits (proc_pid_limits(5)) */
export function limitConnections(
  wanted: number,
  limits: string,
  descriptorsEach: number = 1,
): number {
  const [, soft] = /^Max open files +(\d+) /m.exec(limits) ?? [];
  if (soft === undefined) return wanted;
  const descriptors = Number(soft);
  const free = Math.max(descriptors - RESERVED, Math.floor(descriptors / 2));
  return Math.min(wanted, Math.floor(free / descriptorsEach));
}
