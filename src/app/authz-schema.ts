import { z } from 'zod';
import { absolutePath, option, type Section } from './config-values.ts';

const name = z.string().min(1).max(256);

/** Section `authz` of the configuration file. */
export const authzSchema: z.ZodType<AuthzFile> = z.strictObject({
  socket: absolutePath.meta({
    description:
      'Unix socket on which Envoy asks about each request (ext_authz). Without the section nobody is asked.',
    examples: ['/run/trustplane/authz.sock'],
  }),
  policies: absolutePath.meta({
    description:
      'Directory of policies, *.yaml and *.yml; a changed set is in force at once, or not at all.',
    examples: ['/etc/trustplane/policies'],
  }),
  requirePeerCertificate: option(
    z.boolean(),
    true,
    "Believe callers only by their certificate (Envoy's include_peer_certificate), not by the name that Envoy took from it.",
  ),
  jwt: z
    .strictObject({
      metadataNamespace: option(
        name,
        'envoy.filters.http.jwt_authn',
        'Namespace of the metadata in which Envoy tells the claims of tokens it verified.',
      ),
      payloadKey: option(
        name,
        'jwt_payload',
        'What payload_in_metadata of the token provider is set to.',
      ),
    })
    .optional(),
});

export interface AuthzFile
  extends Section<{
    requirePeerCertificate: boolean;
    jwt: Section<{ metadataNamespace: string; payloadKey: string }>;
  }> {
  readonly socket: string;
  readonly policies: string;
}
