import { z } from 'zod';
import { absolutePath, type Section } from './config-values.ts';
import {
  type AwsIidAgentFile,
  type AwsIidServerFile,
  awsIidAgentSchema,
  awsIidServerSchema,
} from './node-attestors/aws-iid-schema.ts';
import {
  type AzureMsiAgentFile,
  type AzureMsiServerFile,
  azureMsiAgentSchema,
  azureMsiServerSchema,
} from './node-attestors/azure-msi-schema.ts';
import {
  type GcpIitAgentFile,
  type GcpIitServerFile,
  gcpIitAgentSchema,
  gcpIitServerSchema,
} from './node-attestors/gcp-iit-schema.ts';
import {
  type HttpChallengeAgentFile,
  type HttpChallengeServerFile,
  httpChallengeAgentSchema,
  httpChallengeServerSchema,
} from './node-attestors/http-challenge-schema.ts';
import {
  type K8sPsatAgentFile,
  type K8sPsatServerFile,
  k8sPsatAgentSchema,
  k8sPsatServerSchema,
} from './node-attestors/k8s-psat-schema.ts';
import {
  type SshPopAgentFile,
  type SshPopServerFile,
  sshpopAgentSchema,
  sshpopServerSchema,
} from './node-attestors/sshpop-schema.ts';
import {
  type X509PopAgentFile,
  type X509PopServerFile,
  x509popAgentSchema,
  x509popServerSchema,
} from './node-attestors/x509pop-schema.ts';

/** `server.nodeAttestors`; each is off unless it stands there, and all it says is reloadable. */
export const nodeAttestorsSchema: z.ZodType<NodeAttestorsFile> = z.strictObject({
  awsIid: awsIidServerSchema.optional(),
  azureMsi: azureMsiServerSchema.optional(),
  gcpIit: gcpIitServerSchema.optional(),
  sshpop: sshpopServerSchema.optional(),
  httpChallenge: httpChallengeServerSchema.optional(),
  k8sPsat: k8sPsatServerSchema.optional(),
  x509pop: x509popServerSchema.optional(),
});

/** `agent.nodeAttestation`; one of them. */
export const nodeAttestationSchema: z.ZodType<NodeAttestationFile> = z.strictObject({
  awsIid: awsIidAgentSchema.optional(),
  azureMsi: azureMsiAgentSchema.optional(),
  gcpIit: gcpIitAgentSchema.optional(),
  joinToken: z.string().min(1).max(255).optional().meta({
    secret: true,
    description: 'Join token, as `trustplane token generate` prints it. Needed once.',
  }),
  joinTokenFile: absolutePath.optional().meta({
    description: 'File with a join token, read at each attestation.',
    examples: ['/etc/trustplane/join-token'],
  }),
  sshpop: sshpopAgentSchema.optional(),
  httpChallenge: httpChallengeAgentSchema.optional(),
  k8sPsat: k8sPsatAgentSchema.optional(),
  x509pop: x509popAgentSchema.optional(),
});

/** The settings of each way for an agent to prove what its node is. */
export interface NodeAttestationSettings {
  readonly awsIid: AwsIidAgentFile;
  readonly azureMsi: AzureMsiAgentFile;
  readonly gcpIit: GcpIitAgentFile;
  readonly joinToken: string;
  readonly joinTokenFile: string;
  readonly sshpop: SshPopAgentFile;
  readonly httpChallenge: HttpChallengeAgentFile;
  readonly k8sPsat: K8sPsatAgentFile;
  readonly x509pop: X509PopAgentFile;
}

/** What the file may say of attestors of a server. */
export type NodeAttestorsFile = Section<{
  awsIid: AwsIidServerFile;
  azureMsi: AzureMsiServerFile;
  gcpIit: GcpIitServerFile;
  sshpop: SshPopServerFile;
  httpChallenge: HttpChallengeServerFile;
  k8sPsat: K8sPsatServerFile;
  x509pop: X509PopServerFile;
}>;

/** What the file may say of how an agent proves what its node is. */
export type NodeAttestationFile = Section<NodeAttestationSettings>;
