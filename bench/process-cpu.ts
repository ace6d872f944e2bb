import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Of the fields after the name: user and system time are fields 14 and 15 of proc(5). */
const USER_TIME_INDEX = 11;
const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** Seconds of CPU that a process has used, all its threads, user and system. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user = '', system = ''] = fields.slice(USER_TIME_INDEX);
  return (Number(user) + Number(system)) / ticksPerSecond;
}

/** How often `action` runs in each second of CPU of this process. */
export function perCpuSecond(action: () => unknown, count: number): number {
  const before = process.cpuUsage();
  for (let i = 0; i < count; i++) action();
  const { user, system } = process.cpuUsage(before);
  return (count / (user + system)) * 1e6;
}
