import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import path from 'node:path';

/** A cgroup that root made, for processes that a shell starts in it. */
export interface MadeCgroup {
  /** What a shell is told, so that it is in it. */
  readonly enter: string;
  /** Nobody may be in it any more. */
  remove(): void;
}

/** Makes a cgroup, and those above it that are not there, in the hierarchy of cgroup v2. */
export function makeCgroup(cgroup: string): MadeCgroup {
  const names = cgroup.split('/').filter((name) => name !== '');
  const folders = names.map((_name, index) =>
    path.join(mountPoint(), ...names.slice(0, index + 1)),
  );
  const made = folders.filter((folder) => mkdirSync(folder, { recursive: true }) !== undefined);
  return {
    enter: `echo $$ >${folders.at(-1)}/cgroup.procs`,
    remove: () => made.reverse().forEach((folder) => rmdirSync(folder)),
  };
}

function mountPoint(): string {
  const mounts = readFileSync('/proc/self/mounts', 'latin1').split('\n');
  const [, folder] =
    mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2') ?? [];
  if (folder !== undefined) return folder;
  throw new Error('no cgroup v2 is mounted; mount -t cgroup2 none /sys/fs/cgroup/unified');
}
