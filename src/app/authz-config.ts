import type { AuthzFile } from './authz-schema.ts';

/** How Envoy's questions about requests are answered. */
export interface AuthzConfig {
  readonly socket: string;
  /** Directory of policy files. */
  readonly policies: string;
  readonly requirePeerCertificate: boolean;
  /** Where claims of verified tokens stand in the proxy's metadata. */
  readonly claims: { readonly namespace: string; readonly key: string };
}

/** Undefined: nobody is asked. */
export function buildAuthz(file: AuthzFile | undefined): AuthzConfig | undefined {
  if (file === undefined) return undefined;
  const { socket, policies, requirePeerCertificate = true, jwt } = file;
  const claims = {
    namespace: jwt?.metadataNamespace ?? 'envoy.filters.http.jwt_authn',
    key: jwt?.payloadKey ?? 'jwt_payload',
  };
  return { socket, policies, requirePeerCertificate, claims };
}
