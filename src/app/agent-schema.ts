import { z } from 'zod';
import {
  type Address,
  absolutePath,
  option,
  parsed,
  type Section,
  serverAddress,
} from './config-values.ts';
import { type NodeAttestationFile, nodeAttestationSchema } from './node-attestors-schema.ts';
import {
  type WorkloadAttestorsFile,
  workloadAttestorsSchema,
} from './workload-attestors-schema.ts';

const secretName = z.string().min(1).max(256);

/** Who is given CRLs. */
const crlAudiences = ['none', 'workloadApi', 'all'] as const;
export type CrlAudience = (typeof crlAudiences)[number];

const sds = z.strictObject({
  defaultSvidName: option(
    secretName,
    'default',
    "Resource name of the workload's first X509-SVID.",
  ),
  defaultBundleName: option(
    secretName,
    'ROOTCA',
    'Resource name of the validation context with the own trust domain.',
  ),
  defaultAllBundlesName: option(
    secretName,
    'ALL',
    'Resource name of the validation context with the own and all federated trust domains.',
  ),
  disableSpiffeCertValidation: option(
    z.boolean(),
    false,
    'Send plain trusted_ca validation contexts, for Envoy before 1.18. Node metadata disable_spiffe_cert_validation wins.',
  ),
});

const bundleUrl = parsed('^https://', 'https URL', (text) => {
  if (!URL.canParse(text) || new URL(text).protocol !== 'https:')
    throw new Error(`expected an https URL, got ${JSON.stringify(text)}`);
  return text;
});

const sha256 = parsed('^([0-9a-fA-F]{2}:?){32}$', 'SHA-256 in hex', (text) => {
  const hex = text.replaceAll(':', '').toLowerCase();
  if (/^[0-9a-f]{64}$/u.test(hex)) return hex;
  throw new Error(`expected a SHA-256 of 64 hex digits, got ${JSON.stringify(text)}`);
});

const bootstrap = z.strictObject({
  bundleFile: absolutePath.optional().meta({
    description:
      'File with the bundle that the first server is judged by: PEM, or a SPIFFE bundle document, as `trustplane bundle show` prints both.',
    examples: ['/etc/trustplane/bundle.pem'],
  }),
  bundleUrl: bundleUrl.optional().meta({
    description: 'The same, fetched over HTTPS each time it is needed.',
    examples: ['https://bundles.example/prod.example'],
  }),
  bundleUrlPublicKey: sha256.optional().meta({
    description:
      "SHA-256 of the public key (SubjectPublicKeyInfo, DER) of the bundleUrl's certificate. With it the key alone decides, without it the machine's certificate authorities.",
  }),
  insecure: option(
    z.boolean(),
    false,
    'Believe the first server that answers, whoever that is. For trying out.',
  ),
});

const cache = z.strictObject({
  enabled: option(
    z.boolean(),
    true,
    'Keep what the agent has, sealed, in its data directory, so that it serves after a restart while no server answers.',
  ),
  keyFile: option(
    absolutePath,
    '/etc/trustplane/agent-cache.key',
    'File with the key of the cache, outside the data directory; made when it is missing. The systemd credential trustplane-agent-cache-key takes its place. For users other than root in $XDG_CONFIG_HOME/trustplane or ~/.config/trustplane.',
  ),
});

const numericIds = z.array(z.int().min(0).max(4_294_967_294)).max(64);

const factsReaders = z.strictObject({
  uids: numericIds.optional().meta({
    description:
      'Users whose programs may read what the agent knows of bundles, revocations and policies (`trustplane authz run`), beside root and its own.',
    examples: [[101]],
  }),
  gids: numericIds.optional().meta({
    description: 'The same of groups: the effective one of the program counts.',
    examples: [[101]],
  }),
});

/** The section `agent`. */
export const agentSchema: z.ZodType<AgentFile> = z.strictObject({
  dataDir: option(
    absolutePath,
    '/var/lib/trustplane-agent',
    "The agent's own state. For users other than root $XDG_DATA_HOME/trustplane-agent or ~/.local/share/trustplane-agent.",
  ),
  servers: z
    .array(serverAddress)
    .min(1)
    .max(16)
    .optional()
    .meta({
      reloadable: true,
      description:
        'Where `trustplane agent run` reaches servers, 127.0.0.1:8081 unless said. One that answers is kept; when it fails another takes its place.',
      examples: [['server-1.example:8081', 'server-2.example:8081']],
    }),
  bootstrap: bootstrap.optional(),
  nodeAttestation: nodeAttestationSchema.optional(),
  cache: cache.optional(),
  socket: option(
    absolutePath,
    '/run/trustplane/agent.sock',
    'Unix socket of the Workload API and SDS, open to every user. For users other than root beside the admin socket.',
  ),
  allowUnauthenticatedVerifiers: option(
    z.boolean(),
    false,
    'Give workloads without an identity the bundles of the own trust domain too, and validate JWT-SVIDs for them.',
  ),
  allowedForeignJwtClaims: z
    .array(z.string().min(1).max(256))
    .max(256)
    .optional()
    .meta({
      description:
        'Claims of JWT-SVIDs of foreign trust domains that workloads are told beside the registered ones.',
      examples: [['groups']],
    }),
  takePolicies: option(
    z.boolean(),
    false,
    'Have the servers tell of the policies of the control plane also where authz.policies says nothing of them, for servers for authorization beside the agent.',
  ),
  crls: option(
    z.enum(crlAudiences),
    'workloadApi',
    'Who is given the CRLs of the own trust domain where certificates are revoked: nobody (none), clients of the Workload API (workloadApi), or Envoys too (all), which then refuse who is revoked in the handshake.',
  ),
  factsReaders: factsReaders.optional(),
  sds: sds.optional(),
  workloadAttestors: workloadAttestorsSchema.optional(),
});

/** What the file may say of an agent. */
export type AgentFile = Section<{
  dataDir: string;
  servers: readonly Address[];
  bootstrap: Section<{
    bundleFile: string;
    bundleUrl: string;
    bundleUrlPublicKey: string;
    insecure: boolean;
  }>;
  nodeAttestation: NodeAttestationFile;
  cache: Section<{ enabled: boolean; keyFile: string }>;
  socket: string;
  allowUnauthenticatedVerifiers: boolean;
  allowedForeignJwtClaims: readonly string[];
  takePolicies: boolean;
  crls: CrlAudience;
  factsReaders: Section<{ uids: readonly number[]; gids: readonly number[] }>;
  sds: Section<{
    defaultSvidName: string;
    defaultBundleName: string;
    defaultAllBundlesName: string;
    disableSpiffeCertValidation: boolean;
  }>;
  workloadAttestors: WorkloadAttestorsFile;
}>;
