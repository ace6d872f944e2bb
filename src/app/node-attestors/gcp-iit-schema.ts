import { z } from 'zod';
import { absolutePath, option, reloadable } from '../config-values.ts';
import { agentPathTemplate, caFile, httpsOrigin, metadataEndpoint } from './cloud-schema.ts';

export const GCP_METADATA = 'http://169.254.169.254';

const keys = (what: string, example: string) =>
  reloadable(
    z
      .array(z.string().min(1).max(128))
      .max(64)
      .optional()
      .meta({
        description: `${what} that make selectors. None without it.`,
        examples: [[example]],
      }),
  );

const instance = z.strictObject({
  labels: keys('Keys of labels of an instance', 'env'),
  metadata: keys('Keys of metadata of an instance', 'role'),
  maxMetadataValueBytes: reloadable(
    option(
      z.int().min(1).max(4_000),
      128,
      'Longest value of such metadata; an instance with a longer one may not join.',
    ),
  ),
  serviceAccountFile: reloadable(
    absolutePath.optional().meta({
      description:
        'JSON file with the key of a service account that may see instances. Without it the service account of the machine the server runs on.',
      examples: ['/etc/trustplane/gcp-key.json'],
    }),
  ),
  computeEndpoint: reloadable(
    httpsOrigin.optional().meta({
      description: 'Where the Compute Engine API is; without it https://compute.googleapis.com.',
    }),
  ),
  metadataEndpoint: reloadable(metadataEndpoint(GCP_METADATA)),
});

/** `server.nodeAttestors.gcpIit` */
export const gcpIitServerSchema: z.ZodType<GcpIitServerFile> = z.strictObject({
  projects: reloadable(
    z
      .array(z.string().regex(/^(?:[a-z0-9.-]{1,128}:)?[a-z][a-z0-9-]{1,62}$/u))
      .min(1)
      .max(1_000)
      .meta({
        description: 'IDs of the projects whose instances may join.',
        examples: [['prod-1234']],
      }),
  ),
  instance: instance.optional(),
  agentPathTemplate: agentPathTemplate('/gcp_iit/{{ .ProjectID }}/{{ .InstanceID }}'),
  keysEndpoint: reloadable(
    httpsOrigin.optional().meta({
      description:
        "Where Google's keys are fetched, below /oauth2/v3/certs; without it https://www.googleapis.com.",
    }),
  ),
  caFile,
});

/** `agent.nodeAttestation.gcpIit` */
export const gcpIitAgentSchema: z.ZodType<GcpIitAgentFile> = z.strictObject({
  metadataEndpoint: metadataEndpoint(GCP_METADATA),
  serviceAccount: z
    .string()
    .regex(/^[A-Za-z0-9._@+-]{1,256}$/u)
    .optional()
    .meta({
      description:
        'Email of the service account of the machine that tokens are asked for; without it the default one.',
      examples: ['web@prod-1234.iam.gserviceaccount.com'],
    }),
});

/** What a server is told. */
export interface GcpIitServerFile {
  readonly projects: readonly string[];
  readonly instance?: GcpInstanceFile | undefined;
  readonly agentPathTemplate?: string | undefined;
  readonly keysEndpoint?: string | undefined;
  readonly caFile?: string | undefined;
}

/** How instances are asked about. */
export interface GcpInstanceFile {
  readonly labels?: readonly string[] | undefined;
  readonly metadata?: readonly string[] | undefined;
  readonly maxMetadataValueBytes?: number | undefined;
  readonly serviceAccountFile?: string | undefined;
  readonly computeEndpoint?: string | undefined;
  readonly metadataEndpoint?: string | undefined;
}

/** What an agent is told. */
export interface GcpIitAgentFile {
  readonly metadataEndpoint?: string | undefined;
  readonly serviceAccount?: string | undefined;
}
