import { TrustplaneError } from '../spiffe/index.ts';
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

/** Undefined: nobody is asked. @throws TrustplaneError ERR_CONFIG when half is missing */
export function buildAuthz(file: AuthzFile | undefined): AuthzConfig | undefined {
  if (file === undefined) return undefined;
  const { socket, policies, requirePeerCertificate = true, jwt } = file;
  if (socket === undefined || policies === undefined) {
    const missing = socket === undefined ? 'socket' : 'policies';
    throw new TrustplaneError(
      'ERR_CONFIG',
      `authz: ${missing} is missing; socket and policies go together`,
    );
  }
  const claims = {
    namespace: jwt?.metadataNamespace ?? 'envoy.filters.http.jwt_authn',
    key: jwt?.payloadKey ?? 'jwt_payload',
  };
  return { socket, policies, requirePeerCertificate, claims };
}
