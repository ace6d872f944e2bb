import { type Cgroup, isWithin } from './cgroup.ts';

/** A container that a cgroup is named after. Anybody may make such a cgroup who may make any. */
export interface NamedContainer {
  /** 64 lower-case hexadecimal digits. */
  readonly id: string;
  readonly isPodman: boolean;
  /** The user in whose slice it is, of whom a rootless engine would be; the kernel's word. */
  readonly ownerUid: number | undefined;
}

/** Where a container begins, in each hierarchy of its own: hierarchy → path. */
export type ContainerRoots = ReadonlyMap<string, string>;

/** Docker, containerd, CRI-O and Podman, by cgroupfs or systemd: `<id>`, `docker-<id>.scope`, `slice:docker:<id>`. */
const SEGMENT = /^(?:[^:]+:([a-z-]+):|([a-z]+(?:-[a-z]+)*)-)?([0-9a-f]{64})(?:\.scope)?$/u;
const USER_SLICE = /^(?:\/\.\.)*\/user\.slice\/user-(\d{1,10})\.slice\//u;
/** More are of nobody who nests containers on purpose. */
const MAX_CONTAINERS = 4;

/** Each container that a process may be in, the outermost first: what is inside of it is its own doing. */
export function findContainers(cgroups: readonly Cgroup[]): readonly NamedContainer[] {
  const found = new Map<string, NamedContainer & { readonly depth: number }>();
  for (const { path } of cgroups) {
    const ownerUid = ownerOf(path);
    path.split('/').forEach((segment, depth) => {
      const named = parseSegment(segment);
      if (named === undefined || (found.get(named.id)?.depth ?? Infinity) <= depth) return;
      found.set(named.id, { ...named, ownerUid, depth });
    });
  }
  return [...found.values()]
    .sort((one, other) => one.depth - other.depth)
    .slice(0, MAX_CONTAINERS)
    .map(({ id, isPodman, ownerUid }) => ({ id, isPodman, ownerUid }));
}

/** Where the container begins that this process, its first, is in. */
export function findRoots(cgroups: readonly Cgroup[], id: string): ContainerRoots {
  const roots = new Map<string, string>();
  for (const { hierarchy, path } of cgroups) {
    const segments = path.split('/');
    const index = segments.findIndex((segment) => parseSegment(segment)?.id === id);
    if (index > 0) roots.set(hierarchy, segments.slice(0, index + 1).join('/'));
  }
  return roots;
}

/** Whether a process is where a container begins, or below, in every hierarchy in which it has a place. */
export function isInContainer(cgroups: readonly Cgroup[], roots: ContainerRoots): boolean {
  const paths = new Map(cgroups.map(({ hierarchy, path }) => [hierarchy, path]));
  const places = [...roots].map(([hierarchy, root]) => isWithin(paths.get(hierarchy) ?? '', root));
  return places.length > 0 && places.every((isInside) => isInside);
}

/** `conmon` watches a container from outside, in a cgroup named after it. */
export function parseSegment(segment: string): Pick<NamedContainer, 'id' | 'isPodman'> | undefined {
  const [, inSlice, prefix, id] = SEGMENT.exec(segment) ?? [];
  const runtime = inSlice ?? prefix ?? '';
  if (id === undefined || runtime.endsWith('conmon')) return undefined;
  return { id, isPodman: runtime.startsWith('libpod') };
}

function ownerOf(path: string): number | undefined {
  const uid = Number(USER_SLICE.exec(path)?.[1] ?? 0);
  return uid === 0 ? undefined : uid;
}
