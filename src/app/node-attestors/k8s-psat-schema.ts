import { z } from 'zod';
import { absolutePath, option, reloadable } from '../config-values.ts';

const clusterName = z.string().regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$/u);
const labelKeys = z.array(z.string().min(1).max(317)).max(64).optional();
const account = z.string().regex(/^[a-z0-9-]{1,63}:[a-z0-9.-]{1,253}$/u);

const cluster = z
  .strictObject({
    name: clusterName.meta({
      description: 'Name of the cluster, which the IDs of its agents have.',
    }),
    serviceAccountAllowList: z.array(account).min(1).max(64).meta({
      description: 'Service accounts of agents, each namespace:name.',
    }),
    audience: z.array(z.string().min(1).max(255)).min(1).max(8).optional().meta({
      description: 'Audiences, one of which a token has to have; spire-server unless said.',
    }),
    kubeConfigFile: absolutePath.optional().meta({
      description:
        'kubeconfig of the API server that reviews tokens; unless said that of the cluster this server is in.',
    }),
    offline: z
      .strictObject({
        issuer: z.string().min(1).max(512).meta({
          description: 'Issuer of the tokens.',
        }),
        jwksFile: absolutePath.optional().meta({
          description: 'File with its keys (JWKS); unless said they are fetched from the issuer.',
        }),
        caFile: absolutePath.optional().meta({
          description: 'PEM file with the authorities of its certificate.',
        }),
      })
      .optional(),
    allowedNodeLabelKeys: labelKeys.meta({
      description: 'Labels of the node that become selectors.',
    }),
    allowedPodLabelKeys: labelKeys.meta({
      description: 'Labels of the pod that become selectors.',
    }),
    usePodUidForAgentId: z.boolean().optional().meta({
      description: "The ID of an agent has the UID of its pod in place of its node's.",
    }),
  })
  .superRefine(({ offline, ...others }, context) => {
    if (offline === undefined) return;
    const idle = ['kubeConfigFile', 'allowedNodeLabelKeys', 'allowedPodLabelKeys'] as const;
    for (const name of idle.filter((each) => others[each] !== undefined))
      context.addIssue({ code: 'custom', path: [name], message: 'says nothing with offline' });
    const { issuer, jwksFile, caFile } = offline;
    if (jwksFile === undefined && !/^https:\/\/[^?#]+$/u.test(issuer)) {
      const message = 'expected an https URL, or a jwksFile beside it';
      context.addIssue({ code: 'custom', path: ['offline', 'issuer'], message });
    }
    if (jwksFile !== undefined && caFile !== undefined) {
      const message = 'says nothing with jwksFile';
      context.addIssue({ code: 'custom', path: ['offline', 'caFile'], message });
    }
  });

/** `server.nodeAttestors.k8sPsat` */
export const k8sPsatServerSchema: z.ZodType<K8sPsatServerFile> = z.strictObject({
  clusters: reloadable(
    z
      .array(cluster)
      .min(1)
      .max(64)
      .refine((clusters) => new Set(clusters.map(({ name }) => name)).size === clusters.length, {
        error: 'the names of clusters must differ',
      })
      .meta({
        description:
          'Kubernetes clusters whose agents may join by the service account tokens of their pods: reviewed by the API server of kubeConfigFile, or of the cluster this server is in, or with offline judged by the keys of the issuer.',
        examples: [[{ name: 'prod', serviceAccountAllowList: ['trustplane:trustplane-agent'] }]],
      }),
  ),
});

/** `agent.nodeAttestation.k8sPsat` */
export const k8sPsatAgentSchema: z.ZodType<K8sPsatAgentFile> = z.strictObject({
  cluster: clusterName.meta({
    description: 'Name of the cluster this agent is in, as the servers are told.',
    examples: ['prod'],
  }),
  tokenFile: option(
    absolutePath,
    '/var/run/secrets/tokens/spire-agent',
    'File with the projected service account token of the pod. Read at each attestation.',
  ),
});

/** A cluster, as a server is told of it. */
export interface K8sClusterFile {
  readonly name: string;
  readonly serviceAccountAllowList: readonly string[];
  readonly audience?: readonly string[] | undefined;
  readonly kubeConfigFile?: string | undefined;
  readonly offline?: K8sOfflineFile | undefined;
  readonly allowedNodeLabelKeys?: readonly string[] | undefined;
  readonly allowedPodLabelKeys?: readonly string[] | undefined;
  readonly usePodUidForAgentId?: boolean | undefined;
}

/** Who issues its tokens, and by which keys; without a file by those that the issuer publishes. */
export interface K8sOfflineFile {
  readonly issuer: string;
  readonly jwksFile?: string | undefined;
  readonly caFile?: string | undefined;
}

/** What a server is told. */
export interface K8sPsatServerFile {
  readonly clusters: readonly K8sClusterFile[];
}

/** What an agent is told. */
export interface K8sPsatAgentFile {
  readonly cluster: string;
  readonly tokenFile?: string | undefined;
}
