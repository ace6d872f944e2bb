import { quote, TrustplaneError } from '../../spiffe/index.ts';

/** The place of a process in one hierarchy of control groups. */
export interface Cgroup {
  /** Empty for cgroup v2; else the controllers (`cpu,cpuacct`) or the name (`name=systemd`). */
  readonly hierarchy: string;
  /** Absolute; seen from within a cgroup namespace it begins with `/..` for what is outside of it. */
  readonly path: string;
}

const LINE = /^\d{1,10}:([^:]*):(\/.*)$/su;

/**
 * Parses /proc/<pid>/cgroup (cgroups(7)): a line for each hierarchy of v1, one for v2. The kernel
 * makes no cgroup with a line feed in its name, so a name cannot make a line of its own.
 * @throws TrustplaneError ERR_ATTEST_PROC
 */
export function parseCgroups(text: string): readonly Cgroup[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [, hierarchy, path] = LINE.exec(line) ?? [];
    if (hierarchy !== undefined && path !== undefined) return { hierarchy, path };
    throw new TrustplaneError(
      'ERR_ATTEST_PROC',
      `/proc/<pid>/cgroup has a line that is not hierarchy:controllers:path: ${quote(line)}`,
    );
  });
}

/** True for a path and whatever lies below it. */
export function isWithin(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith('/') ? root : `${root}/`);
}
