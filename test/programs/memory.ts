import { readFileSync } from 'node:fs';

/** The resident memory of a process, in MiB (VmRSS of proc_pid_status(5)). */
export function residentMib(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  if (kib === undefined) throw new Error(`process ${pid} has no VmRSS`);
  return Number(kib) / 1024;
}
