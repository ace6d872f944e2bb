import { readFileSync } from 'node:fs';
import type { Log } from '../ops/index.ts';

/** Descriptors that stay free for files, the store, pidfds and outgoing connections. */
const RESERVED = 512;

/** How many of `wanted` connections this process has descriptors for; it would lose more than connections beyond. */
export function affordableConnections(wanted: number, log: Log): number {
  const maxConnections = limitConnections(wanted, readFileSync('/proc/self/limits', 'latin1'));
  if (maxConnections < wanted) {
    log.info(
      { wanted, maxConnections },
      'the limit on open files (ulimit -n) allows fewer connections',
    );
  }
  return maxConnections;
}

/** @param limits the text of /proc/<pid>/limits (proc_pid_limits(5)) */
export function limitConnections(wanted: number, limits: string): number {
  const [, soft] = /^Max open files +(\d+) /m.exec(limits) ?? [];
  if (soft === undefined) return wanted;
  const descriptors = Number(soft);
  return Math.min(wanted, Math.max(descriptors - RESERVED, Math.floor(descriptors / 2)));
}
