import { z } from 'zod';
import { absolutePath, reloadable } from '../config-values.ts';

/** `server.nodeAttestors.sshpop` */
export const sshpopServerSchema: z.ZodType<SshPopServerFile> = z.strictObject({
  authoritiesFile: reloadable(
    absolutePath.meta({
      description:
        'File with the keys of the SSH authorities whose hosts may join, in the format of authorized_keys.',
      examples: ['/etc/trustplane/ssh-host-ca.pub'],
    }),
  ),
  canonicalDomain: reloadable(
    z
      .string()
      .regex(/^(?!-)[a-z0-9-]{1,63}(?:\.(?!-)[a-z0-9-]{1,63}){0,15}$/u)
      .optional()
      .meta({
        description:
          'Domain that the first principal of a host has to be below of; what is before it is {{ .Hostname }}.',
        examples: ['prod.example'],
      }),
  ),
  agentPathTemplate: reloadable(
    z
      .string()
      .min(1)
      .max(2_048)
      .optional()
      .meta({
        description:
          'Path of their agents below /spire/agent; without it /sshpop/ and the fingerprint of the certificate.',
        examples: ['/sshpop/{{ .Hostname }}'],
      }),
  ),
});

/** `agent.nodeAttestation.sshpop` */
export const sshpopAgentSchema: z.ZodType<SshPopAgentFile> = z.strictObject({
  hostKeyFile: absolutePath.optional().meta({
    description:
      'File with the private key of the SSH server of this host, without passphrase, read at each attestation. Without it /etc/ssh/ssh_host_ed25519_key.',
    examples: ['/etc/ssh/ssh_host_rsa_key'],
  }),
  hostCertificateFile: absolutePath.optional().meta({
    description: 'File with its certificate. Without it the name of the key with -cert.pub behind.',
    examples: ['/etc/ssh/ssh_host_ed25519_key-cert.pub'],
  }),
});

/** What a server is told. */
export interface SshPopServerFile {
  readonly authoritiesFile: string;
  readonly canonicalDomain?: string | undefined;
  readonly agentPathTemplate?: string | undefined;
}

/** What an agent is told. */
export interface SshPopAgentFile {
  readonly hostKeyFile?: string | undefined;
  readonly hostCertificateFile?: string | undefined;
}
