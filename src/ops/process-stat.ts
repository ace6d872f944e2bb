import { readFileSync } from 'node:fs';
import { TrustplaneError } from '../spiffe/index.ts';

/** Of the fields after the name: state is the first, start time the 20th (proc(5): fields 3 and 22). */
const START_TIME_INDEX = 19;

/**
 * When a process started, in clock ticks since boot: with the pid it names one process of a boot.
 * @throws an ENOENT or ESRCH error when there is no such process
 */
export function readStartTime(pid: number): string {
  return parseStartTime(readFileSync(`/proc/${pid}/stat`, 'latin1'));
}

/**
 * Field 22 of /proc/<pid>/stat. The name in field 2 is the process's own choice and may hold spaces,
 * parentheses and line feeds; the last parenthesis of the text ends it.
 * @throws TrustplaneError ERR_INTERNAL when the text is not of that form
 */
export function parseStartTime(stat: string): string {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startTime = fields[START_TIME_INDEX];
  if (startTime !== undefined && /^\d+$/.test(startTime)) return startTime;
  throw new TrustplaneError('ERR_INTERNAL', '/proc/<pid>/stat has no start time in field 22');
}
