import { z } from 'zod';
import { absolutePath, reloadable } from '../config-values.ts';

/** `server.nodeAttestors.x509pop` */
export const x509popServerSchema: z.ZodType<X509PopServerFile> = z.strictObject({
  caBundle: reloadable(
    absolutePath.meta({
      description:
        'PEM file of the authorities whose nodes may join with the attestor x509pop. Without it none may.',
      examples: ['/etc/trustplane/nodes.pem'],
    }),
  ),
  agentPathTemplate: reloadable(
    z
      .string()
      .min(1)
      .max(2048)
      .optional()
      .meta({
        description:
          'Path of their agents below /spire/agent; without it /x509pop/ and the fingerprint of the certificate.',
        examples: ['/x509pop/{{ .Subject.CommonName }}'],
      }),
  ),
});

/** `agent.nodeAttestation.x509pop` */
export const x509popAgentSchema: z.ZodType<X509PopAgentFile> = z.strictObject({
  certificateFile: absolutePath.meta({
    description: 'PEM file of the certificate of this node. Read at each attestation.',
    examples: ['/etc/trustplane/node.pem'],
  }),
  privateKeyFile: absolutePath.meta({
    description: 'PEM file of its private key, unencrypted.',
    examples: ['/etc/trustplane/node.key'],
  }),
  intermediatesFile: absolutePath.optional().meta({
    description: 'PEM file with what follows in the chain.',
  }),
});

/** What a server is told. */
export interface X509PopServerFile {
  readonly caBundle: string;
  readonly agentPathTemplate?: string | undefined;
}

/** What an agent is told. */
export interface X509PopAgentFile {
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  readonly intermediatesFile?: string | undefined;
}
