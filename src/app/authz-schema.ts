import { z } from 'zod';
import { type AuthzCallersFile, authzCallersSchemas } from './authz-callers-schema.ts';
import { type AuthzFactsFile, authzFactsSchema } from './authz-facts-schema.ts';
import { type AuthzListenFile, authzListenSchema } from './authz-listen-schema.ts';
import { absolutePath, option, type Section } from './config-values.ts';
import { type DecisionLogFile, decisionLogSchema } from './decision-log-schema.ts';
import { type RbacFile, rbacSchema } from './rbac-schema.ts';

const name = z.string().min(1).max(256);

const policyPlace: z.ZodType<PolicyPlace> = z.union([
  absolutePath,
  z.strictObject({ from: z.literal('control-plane') }),
]);

/** Section `authz` of the configuration file. */
export const authzSchema: z.ZodType<AuthzFile> = z.strictObject({
  socket: absolutePath.optional().meta({
    description:
      'Unix socket on which Envoy asks about each request (ext_authz). Without it and `listen` nobody is asked, and Envoys decide alone by what `rbac` gives them.',
    examples: ['/run/trustplane/authz.sock'],
  }),
  listen: authzListenSchema.optional(),
  transport: option(
    z.enum(['quick', 'grpc-js']),
    'quick',
    'Who speaks gRPC: quick costs half of the CPU; grpc-js has server reflection beside.',
  ),
  policies: policyPlace.meta({
    description:
      'Directory of policies, *.yaml and *.yml, or `{ from: control-plane }` for those that were given to the servers (trustplane policy apply); a changed set is in force at once, or not at all.',
    examples: ['/etc/trustplane/policies'],
    $comment: 'absolute path, or { from: control-plane }',
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
  rbac: rbacSchema.optional(),
  facts: authzFactsSchema.optional(),
  ...authzCallersSchemas,
  decisionLog: decisionLogSchema.optional(),
});

export interface AuthzFile
  extends AuthzCallersFile,
    Section<{
      socket: string;
      listen: AuthzListenFile;
      transport: 'quick' | 'grpc-js';
      requirePeerCertificate: boolean;
      rbac: RbacFile;
      facts: AuthzFactsFile;
      jwt: Section<{ metadataNamespace: string; payloadKey: string }>;
      decisionLog: DecisionLogFile;
    }> {
  readonly policies: PolicyPlace;
}

/** A directory, or who tells. */
export type PolicyPlace = string | { readonly from: 'control-plane' };
