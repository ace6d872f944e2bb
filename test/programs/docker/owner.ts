import { readFileSync, readlinkSync } from 'node:fs';
import { readStartTime } from '../../../src/ops/process-stat.ts';

/** The label of a container that says which process answers for it: `place pid start-time`. */
export const ownerLabel = 'trustplane.owner';

/** Where process ids mean something: one boot of a kernel, one namespace. */
export function thisPlace(): string {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return `${boot}/${readlinkSync('/proc/self/ns/pid')}`;
}

/** The value of the label for a process of this place. */
export function ownerOf(pid: number): string {
  return `${thisPlace()} ${pid} ${readStartTime(pid)}`;
}

/**
 * Whether nobody answers for a container any more. Of an owner elsewhere (an engine may serve
 * several machines) nothing is known, so there only a container that has ended counts.
 */
export function isLeftover(
  container: { readonly owner: string; readonly state: string },
  place: string,
): boolean {
  const [ownerPlace, pid, startTime] = container.owner.split(' ');
  if (ownerPlace !== place) return container.state === 'exited';
  return startTimeOf(Number(pid)) !== startTime;
}

function startTimeOf(pid: number): string | undefined {
  try {
    return readStartTime(pid);
  } catch {
    return undefined;
  }
}
