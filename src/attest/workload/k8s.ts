import { pause } from '../../ops/index.ts';
import { type Clock, type Selector, TrustplaneError } from '../../spiffe/index.ts';
import { boundedSelectors } from './bounded-selectors.ts';
import { parseCgroups } from './cgroup.ts';
import { fetchPods, type KubeletOptions, kubeletName } from './kubelet.ts';
import { findPodPlace, type PodPlace } from './pod-cgroup.ts';
import type { ContainerStatus, Pod, PodContainer, PodList } from './pod-list.ts';
import { isGone } from './proc-files.ts';
import { kernelProc, type ProcReader } from './proc-reader.ts';
import { type QuestionMetrics, Questions } from './questions.ts';
import type { AttestableProcess, WorkloadAttestor } from './workload-attestor.ts';

/** A list that came no longer ago is taken by all who ask. */
const FRESH_MS = 1_000;
/** A container that just began is not in the list yet. */
const POLL_MS = 500;

export interface K8sAttestorOptions {
  readonly kubelet: KubeletOptions;
  /** How long the kubelet is waited for, and a container that it does not list yet. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly metrics: QuestionMetrics;
  readonly proc?: ProcReader;
}

/**
 * The `k8s` selectors, as SPIRE names them. The cgroup of a process, below the one in which only the
 * kubelet makes others, names pod and container; the kubelet of this node says what they are. A
 * container that it does not list in time, in a pod that it does, gets the selectors of the pod.
 */
export function createK8sAttestor(options: K8sAttestorOptions): WorkloadAttestor {
  const { proc = kernelProc, clock, timeoutMs } = options;
  const lists = new PodLists(options);
  const polls = Math.ceil(timeoutMs / POLL_MS);
  return {
    name: 'k8s',
    timeoutMs: timeoutMs * 2 + 1_000,
    async attest(process, again) {
      const place = placeOf(process, proc);
      if (place === undefined) return [];
      for (let poll = 0; ; poll += 1) {
        const list = await lists.get(process.uid, again);
        const found = findContainer(list, place);
        const isLast = poll >= polls || !process.isAlive();
        if (found === undefined && !isLast) {
          await pause(clock, POLL_MS);
          continue;
        }
        requireSame(place, placeOf(process, proc));
        if (found !== undefined) return selectorsOf(found);
        lists.retryLater(again);
        return selectorsOf({ pod: requirePod(list, place, options.kubelet), status: undefined });
      }
    },
  };
}

/** One request for all who ask at once, and shortly after. */
class PodLists {
  readonly #options: K8sAttestorOptions;
  readonly #questions: Questions<PodList>;
  #latest: { readonly list: PodList; readonly at: number } | undefined;

  constructor(options: K8sAttestorOptions) {
    this.#options = options;
    const subject = kubeletName(options.kubelet);
    this.#questions = new Questions({ ...options, attestor: 'k8s', subject, max: 1 });
  }

  async get(uid: number, again: () => void): Promise<PodList> {
    const age = this.#options.clock.now() - (this.#latest?.at ?? 0);
    if (this.#latest !== undefined && age >= 0 && age < FRESH_MS) return this.#latest.list;
    return await this.#questions.ask('pods', uid, (signal) => this.#fetch(signal), again);
  }

  retryLater(again: () => void): void {
    this.#questions.retryLater(again);
  }

  async #fetch(signal: AbortSignal): Promise<PodList> {
    const list = await fetchPods(this.#options.kubelet, signal);
    this.#latest = { list, at: this.#options.clock.now() };
    return list;
  }
}

/** @throws TrustplaneError ERR_ATTEST_PROCESS_GONE, ERR_ATTEST_PROC, ERR_ATTEST_CONTAINER */
function placeOf({ pid }: AttestableProcess, proc: ProcReader): PodPlace | undefined {
  try {
    return findPodPlace(parseCgroups(proc.cgroup(pid)), parseCgroups(proc.cgroup('self')));
  } catch (error) {
    if (!isGone(error)) throw error;
    throw new TrustplaneError('ERR_ATTEST_PROCESS_GONE', `process ${pid} has exited`);
  }
}

/** The process may have been moved meanwhile. */
function requireSame(place: PodPlace, now: PodPlace | undefined): void {
  if (now?.containerId === place.containerId && now.podUid === place.podUid) return;
  throw new TrustplaneError(
    'ERR_ATTEST_CONTAINER',
    `the process left container ${place.containerId} while it was attested`,
  );
}

/** @throws TrustplaneError ERR_ATTEST_CONTAINER when it is not the pod's */
function findContainer(list: PodList, { podUid, containerId }: PodPlace): PodContainer | undefined {
  const found = list.containers.get(containerId);
  if (found === undefined) return undefined;
  const isOfPod =
    found !== 'several' && (podUid ?? found.pod.metadata.uid) === found.pod.metadata.uid;
  if (isOfPod) return found;
  throw new TrustplaneError(
    'ERR_ATTEST_CONTAINER',
    found === 'several'
      ? `the kubelet lists container ${containerId} in more than one pod`
      : `the kubelet lists container ${containerId} in pod ${found.pod.metadata.uid}, and the process is in pod ${podUid}`,
  );
}

function requirePod(
  list: PodList,
  { podUid, containerId }: PodPlace,
  kubelet: KubeletOptions,
): Pod {
  const pod = podUid === undefined ? undefined : list.pods.get(podUid);
  if (pod !== undefined) return pod;
  throw new TrustplaneError(
    'ERR_ATTEST_CONTAINER',
    `${kubeletName(kubelet)} lists neither container ${containerId} nor its pod${podUid === undefined ? '' : ` ${podUid}`} yet; it is looked for again`,
  );
}

function selectorsOf({
  pod,
  status,
}: {
  readonly pod: Pod;
  readonly status: ContainerStatus | undefined;
}): readonly Selector[] {
  const { metadata, spec } = pod;
  const { containerStatuses, initContainerStatuses } = pod.status;
  const values = [
    `ns:${metadata.namespace}`,
    `sa:${spec.serviceAccountName}`,
    `node-name:${spec.nodeName}`,
    `pod-uid:${metadata.uid}`,
    `pod-name:${metadata.name}`,
    `pod-image-count:${containerStatuses.length}`,
    `pod-init-image-count:${initContainerStatuses.length}`,
    ...imagesOf(containerStatuses).map((image) => `pod-image:${image}`),
    ...imagesOf(initContainerStatuses).map((image) => `pod-init-image:${image}`),
    ...Object.entries(metadata.labels).flatMap(([key, value]) =>
      typeof value === 'string' ? `pod-label:${key}:${value}` : [],
    ),
    ...metadata.ownerReferences.flatMap(({ kind, name, uid }) => [
      `pod-owner:${kind}:${name}`,
      `pod-owner-uid:${kind}:${uid}`,
    ]),
    ...(status === undefined ? [] : [`container-name:${status.name}`]),
    ...imagesOf(status === undefined ? [] : [status]).map((image) => `container-image:${image}`),
  ];
  return boundedSelectors('k8s', values, `pod ${metadata.namespace}/${metadata.name}`);
}

/** By name and by digest. */
function imagesOf(statuses: readonly ContainerStatus[]): readonly string[] {
  const images = statuses.flatMap(({ image, imageID }) => [image, imageID]);
  return [...new Set(images)].filter((image) => image !== '');
}
