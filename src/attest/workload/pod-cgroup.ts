import { TrustplaneError } from '../../spiffe/index.ts';
import type { Cgroup } from './cgroup.ts';
import { parseSegment } from './container-cgroup.ts';

/** The pod and container that a process is in, by the names that the kubelet gives to cgroups. */
export interface PodPlace {
  /** Undefined where the path begins inside the agent's own pod. */
  readonly podUid: string | undefined;
  readonly containerId: string;
}

const UID = '([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})';
const SLICE = '(?:\\.slice)?';
const KUBEPODS = `/(?:kubelet-)?kubepods${SLICE}`;
const QOS = `/(?:(?:kubelet-)?kubepods-)?(?:burstable|besteffort)${SLICE}`;
const POD = `/(?:(?:kubelet-)?kubepods(?:-burstable|-besteffort)?-)?pod${UID}${SLICE}`;
/** Ends with the segment of the container; what is below is the container's own doing. */
const CONTAINER = '((?:/|:[a-z-]+:)[^/]+)(?:/|$)';

/** Where the kubelet of this host makes pods: at the root, and in `kubelet.slice` with kind. */
const AT_ROOT = new RegExp(`^(?:/kubelet${SLICE})?${KUBEPODS}(?:${QOS})?${POD}${CONTAINER}`, 'u');
/** The same as an agent sees it from a cgroup namespace inside of a pod. */
const FROM_POD = new RegExp(`^(?:/\\.\\.)+(?:${KUBEPODS})?(?:${QOS})?${POD}${CONTAINER}`, 'u');
/** A container beside the agent's, in its own pod. */
const BESIDE = /^\/\.\.(\/[^/.][^/]*)(?:\/|$)/u;

/**
 * Where the kubelet put the process, or undefined when it did not: only below where the kubelet of
 * this host makes its cgroups, which only root can make others in. `own`: of the agent, which may
 * run on a host that is a container itself.
 * @throws TrustplaneError ERR_ATTEST_CONTAINER when hierarchies name different ones
 */
export function findPodPlace(
  cgroups: readonly Cgroup[],
  own: readonly Cgroup[],
): PodPlace | undefined {
  const machine = machineOf(own);
  const [first, ...others] = cgroups.flatMap(({ path }) => parsePodPath(path, machine) ?? []);
  const other = others.find(
    (each) => each.containerId !== first?.containerId || each.podUid !== first.podUid,
  );
  if (first === undefined || other === undefined) return first;
  throw new TrustplaneError(
    'ERR_ATTEST_CONTAINER',
    `the cgroups of the process name container ${first.containerId} and container ${other.containerId}`,
  );
}

/** The container that the whole host is, where its processes are seen from outside of it (kind). */
function machineOf(own: readonly Cgroup[]): string {
  const paths = own.map(({ path }) => /^((?:\/[^/]+){2})\/.*kubepods/u.exec(path)?.[1]);
  const machine = paths.find((path) => parseSegment(path?.split('/').at(-1) ?? '') !== undefined);
  return machine ?? '';
}

function parsePodPath(path: string, machine: string): PodPlace | undefined {
  const inside = path.startsWith(`${machine}/`) ? path.slice(machine.length) : '';
  const [, uid, segment] = AT_ROOT.exec(inside) ?? FROM_POD.exec(inside) ?? [];
  const [, beside] = BESIDE.exec(inside) ?? [];
  const container = parseSegment((segment ?? beside ?? '').replace(/^\/|^:[a-z-]+:/u, ''));
  if (container === undefined) return undefined;
  return { podUid: uid?.replaceAll('_', '-'), containerId: container.id };
}
