import type { ProcReader } from '../../src/attest/workload/proc-reader.ts';

/** Processes whose place in the cgroups the test decides. */
export class FakeProc implements ProcReader {
  readonly processes = new Map<number | 'self', { cgroup: string; startTime: string }>();

  set(pid: number | 'self', cgroup: string, startTime: string = '100'): void {
    this.processes.set(pid, { cgroup, startTime });
  }

  cgroup(pid: number | 'self'): string {
    return this.#of(pid).cgroup;
  }

  startTime(pid: number): string {
    return this.#of(pid).startTime;
  }

  #of(pid: number | 'self'): { cgroup: string; startTime: string } {
    const found = this.processes.get(pid);
    if (found !== undefined) return found;
    throw Object.assign(new Error(`ENOENT: /proc/${pid}`), { code: 'ENOENT' });
  }
}
