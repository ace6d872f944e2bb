import { Client } from '@grpc/grpc-js';
import { dialUnix } from '../wire/index.ts';
import { remoteError } from './remote-error.ts';
import { callUnary } from './unary-call.ts';

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
  AgentStatus: ['trustplane/agent/v1/agent.proto', 'trustplane.agent.v1.Agent'],
} as const;

type Service = keyof typeof services;

/** A connection to the server API on the admin socket. */
export interface AdminConnection {
  /** Rejects with a TrustplaneError. */
  readonly call: <Response>(service: Service, method: string, request: object) => Promise<Response>;
  readonly close: () => void;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function dialAdmin(socket: string): AdminConnection {
  const dial = dialUnix(socket);
  const client = new Client(dial.target, dial.credentials, dial.options);
  return {
    call: <Response>(service: Service, method: string, request: object) =>
      callUnary<Response>({
        client,
        service: services[service],
        method,
        request,
        toError: (error) => remoteError(error, `unix://${socket}`),
      }),
    close: () => client.close(),
  };
}

/** Seconds since the epoch, as an int64 on the wire, in RFC 3339. */
export function instant(seconds: string | undefined): string {
  return new Date(Number(seconds ?? 0) * 1_000).toISOString().replace('.000Z', 'Z');
}
