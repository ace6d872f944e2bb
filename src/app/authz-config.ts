import { TrustplaneError } from '../spiffe/index.ts';
import { type AuthzCallersConfig, buildAuthzCallers } from './authz-callers-config.ts';
import { type AuthzListenConfig, buildAuthzListen } from './authz-listen-config.ts';
import type { AuthzFile, PolicyPlace } from './authz-schema.ts';
import { buildDecisionLog, type DecisionLogConfig } from './decision-log-config.ts';
import { buildRbac, type RbacConfig } from './rbac-schema.ts';

/** How Envoy's questions about requests are answered. Plain values: it goes to another thread. */
export interface AuthzConfig extends AuthzCallersConfig {
  /** Without it and `listen` nobody is asked, and there is `rbac`. */
  readonly socket: string | undefined;
  readonly listen: AuthzListenConfig | undefined;
  readonly transport: 'quick' | 'grpc-js';
  /** A directory of policy files, or the servers of the trust domain. */
  readonly policies: PolicyPlace;
  readonly requirePeerCertificate: boolean;
  /** How long the agent's last word is good for in `authz run`; undefined: any time. */
  readonly factsMaxAgeMs: number | undefined;
  /** Where claims of verified tokens stand in the proxy's metadata. */
  readonly claims: { readonly namespace: string; readonly key: string };
  readonly decisionLog: DecisionLogConfig | undefined;
  /** Undefined: Envoys are given no rules. */
  readonly rbac: RbacConfig | undefined;
}

/** Somebody is asked about requests. */
export function isAsked({ socket, listen }: Pick<AuthzConfig, 'socket' | 'listen'>): boolean {
  return socket !== undefined || listen !== undefined;
}

/** Undefined: nobody is asked. @throws TrustplaneError ERR_CONFIG */
export function buildAuthz(file: AuthzFile | undefined): AuthzConfig | undefined {
  if (file === undefined) return undefined;
  const { socket, transport = 'quick', policies, requirePeerCertificate = true, jwt } = file;
  const listen = buildAuthzListen(file.listen);
  const rbac = buildRbac(file.rbac);
  if (!isAsked({ socket, listen }) && rbac === undefined) {
    throw new TrustplaneError(
      'ERR_CONFIG',
      'authz: expected socket, listen or rbac; got none of them',
    );
  }
  const callers = buildAuthzCallers(file);
  const decisionLog = buildDecisionLog(file.decisionLog);
  const { header } = callers.jwtSvid ?? {};
  if (header !== undefined && decisionLog?.headers.includes(header) === true) {
    throw new TrustplaneError(
      'ERR_CONFIG',
      `authz.decisionLog.headers: ${header} holds tokens (authz.jwtSvid.header), which are never logged`,
    );
  }
  const claims = {
    namespace: jwt?.metadataNamespace ?? 'envoy.filters.http.jwt_authn',
    key: jwt?.payloadKey ?? 'jwt_payload',
  };
  return {
    ...callers,
    socket,
    listen,
    transport,
    policies,
    requirePeerCertificate,
    factsMaxAgeMs: file.facts?.maxAge,
    claims,
    decisionLog,
    rbac,
  };
}
