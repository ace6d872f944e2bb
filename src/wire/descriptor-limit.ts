import { readFileSync } from 'node:fs';

/** Descriptors that stay free for files, the store, pidfds and outgoing connections. */
const RESERVED = 512;

/** How many of `wanted` connections this process has descriptors for; it would lose more than connections beyond. */
export function affordableConnections(wanted: number): number {
  return limitConnections(wanted, readFileSync('/proc/self/limits', 'latin1'));
}

/** @param limits the text of /proc/<pid>/limits (proc_pid_limits(5)) */
export function limitConnections(wanted: number, limits: string): number {
  const [, soft] = /^Max open files +(\d+) /m.exec(limits) ?? [];
  if (soft === undefined) return wanted;
  const descriptors = Number(soft);
  return Math.min(wanted, Math.max(descriptors - RESERVED, Math.floor(descriptors / 2)));
}
