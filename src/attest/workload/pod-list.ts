import { z } from 'zod';
import { messageOf, TrustplaneError } from '../../spiffe/index.ts';

const name = z.string().max(4_096).default('');

const containerStatus = z.object({
  name,
  image: name,
  imageID: name,
  containerID: name,
});
const statuses = z
  .array(containerStatus)
  .nullish()
  .transform((list) => list ?? []);

const labels = z
  .custom<Readonly<Record<string, unknown>>>((value) => value === null || typeof value === 'object')
  .optional()
  .transform((value) => value ?? {});

const pod: z.ZodType<Pod> = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    labels,
    ownerReferences: z
      .array(z.object({ kind: name, name, uid: name }))
      .nullish()
      .transform((owners) => owners ?? []),
  }),
  spec: z.object({ serviceAccountName: name, nodeName: name }),
  status: z.object({ containerStatuses: statuses, initContainerStatuses: statuses }),
});

const podList = z.object({ kind: z.literal('PodList'), items: z.array(z.unknown()).nullable() });

/** What is read of Kubernetes' ContainerStatus. */
export interface ContainerStatus {
  readonly name: string;
  readonly image: string;
  readonly imageID: string;
  /** Empty before the container is made. */
  readonly containerID: string;
}

/** What is read of Kubernetes' Pod. */
export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    /** Looked at when a process of the pod is attested: there may be many, in pods that nobody asks for. */
    readonly labels: Readonly<Record<string, unknown>>;
    readonly ownerReferences: readonly {
      readonly kind: string;
      readonly name: string;
      readonly uid: string;
    }[];
  };
  readonly spec: { readonly serviceAccountName: string; readonly nodeName: string };
  readonly status: {
    readonly containerStatuses: readonly ContainerStatus[];
    readonly initContainerStatuses: readonly ContainerStatus[];
  };
}

/** A container and its pod. */
export interface PodContainer {
  readonly pod: Pod;
  readonly status: ContainerStatus;
}

/** The pods of a node, as its kubelet lists them. */
export interface PodList {
  /** By UID. */
  readonly pods: ReadonlyMap<string, Pod>;
  /** By ID; `several` where more than one pod says that it has it. */
  readonly containers: ReadonlyMap<string, PodContainer | 'several'>;
}

/**
 * Parses a kubelet's answer to `GET /pods`. Of what stands in it only a part is read; a pod that is
 * not understood is left out.
 * @throws TrustplaneError ERR_ATTEST_ANSWER
 */
export function parsePodList(body: Buffer): PodList {
  const items = parseItems(body).flatMap((item) => pod.safeParse(item).data ?? []);
  const containers = new Map<string, PodContainer | 'several'>();
  for (const each of items)
    for (const status of [...each.status.containerStatuses, ...each.status.initContainerStatuses]) {
      const id = /^[a-z0-9.+-]{1,64}:\/\/([0-9a-f]{64})$/u.exec(status.containerID)?.[1];
      if (id !== undefined)
        containers.set(id, containers.has(id) ? 'several' : { pod: each, status });
    }
  return { pods: new Map(items.map((each) => [each.metadata.uid, each])), containers };
}

function parseItems(body: Buffer): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    const list = podList.safeParse(value);
    if (list.success) return list.data.items ?? [];
  } catch (error) {
    throw malformed(messageOf(error).slice(0, 120));
  }
  throw malformed('it is no PodList');
}

function malformed(why: string): TrustplaneError {
  return new TrustplaneError('ERR_ATTEST_ANSWER', `the kubelet's answer is not understood: ${why}`);
}
