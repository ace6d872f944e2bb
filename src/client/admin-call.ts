import { Client, type ServiceError } from '@grpc/grpc-js';
import type { TrustplaneError } from '../spiffe/index.ts';
import { dialUnix } from '../wire/index.ts';
import { callDuplex } from './duplex-call.ts';
import { remoteError } from './remote-error.ts';
import { callStream } from './stream-call.ts';
import { callUnary } from './unary-call.ts';
import { callUpload } from './upload-call.ts';

const services = {
  Entry: ['spire/api/server/entry/v1/entry.proto', 'spire.api.server.entry.v1.Entry'],
  Bundle: ['spire/api/server/bundle/v1/bundle.proto', 'spire.api.server.bundle.v1.Bundle'],
  TrustDomain: [
    'spire/api/server/trustdomain/v1/trustdomain.proto',
    'spire.api.server.trustdomain.v1.TrustDomain',
  ],
  SVID: ['spire/api/server/svid/v1/svid.proto', 'spire.api.server.svid.v1.SVID'],
  Agent: ['spire/api/server/agent/v1/agent.proto', 'spire.api.server.agent.v1.Agent'],
  LocalAuthority: [
    'spire/api/server/localauthority/v1/localauthority.proto',
    'spire.api.server.localauthority.v1.LocalAuthority',
  ],
  Logger: ['spire/api/server/logger/v1/logger.proto', 'spire.api.server.logger.v1.Logger'],
  AgentLogger: ['spire/api/agent/logger/v1/logger.proto', 'spire.api.agent.logger.v1.Logger'],
  Admin: ['trustplane/admin/v1/admin.proto', 'trustplane.admin.v1.Admin'],
  Federation: ['trustplane/admin/v1/federation.proto', 'trustplane.admin.v1.Federation'],
  Audit: ['trustplane/audit/v1/audit.proto', 'trustplane.audit.v1.Audit'],
  Backup: ['trustplane/admin/v1/backup.proto', 'trustplane.admin.v1.Backup'],
  Crls: ['trustplane/admin/v1/crls.proto', 'trustplane.admin.v1.Crls'],
  Apply: ['trustplane/admin/v1/apply.proto', 'trustplane.admin.v1.Apply'],
  Revocations: ['trustplane/admin/v1/revocations.proto', 'trustplane.admin.v1.Revocations'],
  Servers: ['trustplane/admin/v1/servers.proto', 'trustplane.admin.v1.Servers'],
  Policy: ['trustplane/policy/v1/policy.proto', 'trustplane.policy.v1.PolicyService'],
  AgentExplain: ['trustplane/explain/v1/explain.proto', 'trustplane.explain.v1.AgentExplain'],
  Explain: ['trustplane/explain/v1/explain.proto', 'trustplane.explain.v1.Explain'],
  AgentStatus: ['trustplane/agent/v1/agent.proto', 'trustplane.agent.v1.Agent'],
} as const;

type Service = keyof typeof services;

/** A connection to the server API on the admin socket. */
export interface AdminConnection {
  /** Rejects with a TrustplaneError. */
  readonly call: <Response>(
    service: Service,
    method: string,
    request: object,
    timeoutMs?: number,
  ) => Promise<Response>;
  /** The messages of a stream; leaving the iteration ends the call. Rejects with a TrustplaneError. */
  readonly stream: <Response>(
    service: Service,
    method: string,
    request: object,
  ) => AsyncIterable<Response>;
  /** A call with a stream of requests that is answered with one. Rejects with a TrustplaneError. */
  readonly converse: <Response>(
    service: Service,
    method: string,
    requests: Iterable<object>,
  ) => AsyncIterable<Response>;
  /** A call with a stream of requests. Rejects with a TrustplaneError. */
  readonly upload: <Response>(
    service: Service,
    method: string,
    requests: Iterable<object>,
    timeoutMs: number,
  ) => Promise<Response>;
  readonly close: () => void;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function dialAdmin(socket: string): AdminConnection {
  const dial = dialUnix(socket);
  const client = new Client(dial.target, dial.credentials, dial.options);
  const toError = (error: ServiceError): TrustplaneError => remoteError(error, `unix://${socket}`);
  return {
    call: <Response>(service: Service, method: string, request: object, timeoutMs?: number) =>
      callUnary<Response>({
        client,
        service: services[service],
        method,
        request,
        ...(timeoutMs !== undefined && { timeoutMs }),
        toError,
      }),
    stream: <Response>(service: Service, method: string, request: object) =>
      callStream<Response>({ client, service: services[service], method, request, toError }),
    converse: <Response>(service: Service, method: string, requests: Iterable<object>) =>
      callDuplex<Response>({ client, service: services[service], method, requests, toError }),
    upload: <Response>(
      service: Service,
      method: string,
      requests: Iterable<object>,
      timeoutMs: number,
    ) =>
      callUpload<Response>({
        client,
        service: services[service],
        method,
        requests,
        timeoutMs,
        toError,
      }),
    close: () => client.close(),
  };
}

/** Seconds since the epoch, as an int64 on the wire, in RFC 3339. */
export function instant(seconds: string | undefined): string {
  return new Date(Number(seconds ?? 0) * 1_000).toISOString().replace('.000Z', 'Z');
}
