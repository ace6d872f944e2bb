import { TrustplaneError } from '../../spiffe/index.ts';
import type { Cgroup } from './cgroup.ts';

/** The unit of the system's systemd that a process is of. */
export interface SystemdUnit {
  /** Such as `nginx.service`. */
  readonly id: string;
  /** Its cgroup; what is below is the unit's own doing. */
  readonly cgroup: string;
}

const SLICE = /^[A-Za-z0-9:_.\\@-]{1,249}\.slice$/u;
const UNIT = /^[A-Za-z0-9:_.\\@-]{1,248}\.(?:service|scope|socket|mount|swap)$/u;

/**
 * The first in the path that is no slice: only root makes cgroups in slices of the system. A unit of
 * a user's systemd lies below `user@<uid>.service`, and is that; nothing below counts.
 * @throws TrustplaneError ERR_ATTEST_CONTAINER where the agent does not see the path from the root
 */
export function findUnit(cgroups: readonly Cgroup[]): SystemdUnit | undefined {
  const path = pathIn(cgroups, '') ?? pathIn(cgroups, 'name=systemd') ?? '/';
  if (path.startsWith('/..')) throw unseen();
  const segments = path.split('/').slice(1);
  const index = segments.findIndex((segment) => !SLICE.test(segment));
  // systemd puts an underscore before what would be mistaken for a file of the kernel's.
  const id = (segments[index] ?? '').replace(/^_/u, '');
  if (!UNIT.test(id)) return undefined;
  return { id, cgroup: `/${segments.slice(0, index + 1).join('/')}` };
}

/** Undefined where systemd keeps no units in the hierarchy. */
function pathIn(cgroups: readonly Cgroup[], name: string): string | undefined {
  const path = cgroups.find(({ hierarchy }) => hierarchy === name)?.path;
  return path === '/' ? undefined : path;
}

function unseen(): TrustplaneError {
  return new TrustplaneError(
    'ERR_ATTEST_CONTAINER',
    'the agent has a cgroup namespace of its own and does not see units from it; run it in that of the host',
  );
}
