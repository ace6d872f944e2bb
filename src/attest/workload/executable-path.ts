import { readFileSync, readlinkSync } from 'node:fs';
import { stat } from 'node:fs/promises';

const DELETED = ' (deleted)';

interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/**
 * The path of a running program that was opened by way of /proc/<pid>/exe, or undefined where it is
 * only the process's word. Whoever may make a mount namespace (any user, where user namespaces are
 * allowed) can run any file under any path; so the path counts only if the file at that path, as
 * seen from here, is the one that runs, or if the file is on a mount of this process's own
 * namespace. By the latter a program that is replaced or deleted while it runs keeps its path.
 */
export async function verifiedPath(
  descriptor: number,
  identity: FileIdentity,
): Promise<string | undefined> {
  const link = readlinkSync(`/proc/self/fd/${descriptor}`);
  if (await isFileAt(link, identity)) return link;
  if (!isOnOwnMount(descriptor)) return undefined;
  return link.endsWith(DELETED) ? link.slice(0, -DELETED.length) : link;
}

async function isFileAt(path: string, identity: FileIdentity): Promise<boolean> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return dev === identity.dev && ino === identity.ino;
  } catch {
    return false;
  }
}

function isOnOwnMount(descriptor: number): boolean {
  const info = readFileSync(`/proc/self/fdinfo/${descriptor}`, 'latin1');
  const mountId = parseMountId(info);
  if (mountId === undefined) return false;
  return parseMountIds(readFileSync('/proc/self/mountinfo', 'latin1')).has(mountId);
}

/** The line `mnt_id:` of /proc/<pid>/fdinfo/<fd>. */
export function parseMountId(fdinfo: string): string | undefined {
  return /^mnt_id:\t(\d+)$/m.exec(fdinfo)?.[1];
}

/** The first field of each line of /proc/<pid>/mountinfo (proc_pid_mountinfo(5)); blanks in names are escaped. */
export function parseMountIds(mountinfo: string): ReadonlySet<string> {
  return new Set(mountinfo.match(/^\d+(?= )/gm));
}
