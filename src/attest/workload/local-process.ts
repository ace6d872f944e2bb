import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { readStartTime } from '../../ops/index.ts';
import { parseCgroups } from './cgroup.ts';
import { findContainers } from './container-cgroup.ts';
import { readProcStatus } from './proc-files.ts';
import { parseProcStatus } from './proc-status.ts';
import type { AttestableProcess } from './workload-attestor.ts';

const PIDS_PER_TURN = 100;
const MAX_PIDS = 65_536;

/** The process that has a pid now, as it is now; nothing is to be served by that. Undefined: none has it. */
export function findProcess(pid: number): AttestableProcess | undefined {
  try {
    const startTime = readStartTime(pid);
    const { uid, gid } = parseProcStatus(readProcStatus(pid));
    return { pid, uid, gid, startTime, isAlive: () => startTimeOf(pid) === startTime };
  } catch {
    return undefined;
  }
}

function startTimeOf(pid: number): string | undefined {
  try {
    return readStartTime(pid);
  } catch {
    return undefined;
  }
}

/** The processes whose cgroup is named after a container; `id`: the first digits of its ID, or all. At most `limit`, lowest pid first. */
export async function findContainerProcesses(
  id: string,
  limit: number,
): Promise<readonly number[]> {
  const pids = readdirSync('/proc').flatMap((name) => (/^\d+$/u.test(name) ? [Number(name)] : []));
  const found: number[] = [];
  for (const [index, pid] of pids
    .sort((a, b) => a - b)
    .slice(0, MAX_PIDS)
    .entries()) {
    if (index % PIDS_PER_TURN === 0) await setImmediate();
    if (isIn(pid, id)) found.push(pid);
    if (found.length === limit) break;
  }
  return found;
}

function isIn(pid: number, id: string): boolean {
  try {
    const cgroups = parseCgroups(readFileSync(`/proc/${pid}/cgroup`, 'latin1'));
    return findContainers(cgroups).some((container) => container.id.startsWith(id));
  } catch {
    return false;
  }
}
