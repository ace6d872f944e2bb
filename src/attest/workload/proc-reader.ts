import { readStartTime } from '../../ops/index.ts';
import { readProcCgroup } from './proc-files.ts';

/** What the kernel says of processes. Both throw an ENOENT or ESRCH error when there is none of the pid. */
export interface ProcReader {
  /** The text of /proc/<pid>/cgroup. */
  cgroup(pid: number | 'self'): string;
  /** Clock ticks from boot. */
  startTime(pid: number): string;
}

export const kernelProc: ProcReader = { cgroup: readProcCgroup, startTime: readStartTime };
