import { once } from 'node:events';
import type { Agent, IncomingHttpHeaders } from 'node:http';
import { createServer } from 'node:http';
import path from 'node:path';
import type { RunningEnvoy } from './launch-envoy.ts';
import { adminSocketOf, launchEnvoy } from './launch-envoy.ts';
import type { NetworkHost } from './network-hosts.ts';
import { renderBootstrap } from './render-bootstrap.ts';
import type { HttpAnswer } from './unix-http.ts';
import { requestUnix } from './unix-http.ts';

/**
 * client → client Envoy → mTLS → server Envoy → application, on Unix sockets in one folder; between
 * two hosts mTLS goes over TCP.
 */
export interface SidecarPair {
  readonly client: RunningEnvoy;
  readonly server: RunningEnvoy;
  /** Where the server Envoy takes mTLS. */
  readonly inboundSocket: string;
  /** Where the client Envoy takes plain HTTP. */
  readonly outboundSocket: string;
  /** One request along the whole way; the application answers with the headers it saw, as JSON. */
  request(agent?: Agent): Promise<HttpAnswer>;
  stop(): Promise<void>;
}

/** One for each of the two Envoys. */
export interface PerSide<T> {
  readonly client: T;
  readonly server: T;
}

/** Options of `launchSidecars`. */
export interface SidecarOptions {
  readonly folder: string;
  /** The socket of the agent, or of each host's agent. */
  readonly agentSocket: string | PerSide<string>;
  /** Where each Envoy runs; default both here. */
  readonly hosts?: PerSide<NetworkHost>;
  readonly clientId: string;
  readonly serverId: string;
  readonly protocol: 'sotw' | 'delta';
  /** Whom the server lets in; default `clientId`. */
  readonly allowedId?: string;
  /** Where the server's Envoy asks about each request, over SotW SDS; by default it does not. */
  readonly authzSocket?: string;
  /** What else is different in the server's bootstrap. */
  readonly editServer?: (bootstrap: string) => string;
  /** Name of the authorities that both trust, or each, over SotW SDS; default `ROOTCA`. */
  readonly context?: string | PerSide<string>;
  /** How long an mTLS connection may live, as Envoy spells it; default `1s`. */
  readonly connectionDuration?: string;
}

/** Starts the application and both Envoys, without waiting for their certificates. */
export async function launchSidecars(options: SidecarOptions): Promise<SidecarPair> {
  const { folder } = options;
  const inboundSocket = path.join(folder, 'inbound.sock');
  const outboundSocket = path.join(folder, 'outbound.sock');
  const application = await serveApplication(path.join(folder, 'application.sock'));
  const server = await launchEnvoy({
    folder,
    name: 'server',
    bootstrap: edited(
      options,
      trusting(contextOf(options, 'server'), await serverBootstrap(options)),
    ),
    folders: [path.dirname(agentSocketOf(options, 'server'))],
    ...(options.hosts && { spawn: options.hosts.server.spawn }),
  });
  const client = await launchEnvoy({
    folder,
    name: 'client',
    bootstrap: trusting(contextOf(options, 'client'), await clientBootstrap(options)),
    folders: [path.dirname(agentSocketOf(options, 'client'))],
    ...(options.hosts && { spawn: options.hosts.client.spawn }),
  });
  return {
    client,
    server,
    inboundSocket,
    outboundSocket,
    request: async (agent) =>
      await requestUnix({ socketPath: outboundSocket, path: '/', ...(agent && { agent }) }),
    stop: async () => {
      await Promise.all([client.stop(), server.stop()]);
      application.closeAllConnections();
      application.close();
      await once(application, 'close');
    },
  };
}

function edited({ editServer = (text) => text }: SidecarOptions, bootstrap: string): string {
  return editServer(bootstrap);
}

/** A bootstrap whose Envoy trusts other authorities than those of its own trust domain. */
export function trusting(context: string | undefined, bootstrap: string): string {
  if (context === undefined) return bootstrap;
  const changed = bootstrap.replace(/^( +name:) ROOTCA$/m, `$1 "${context}"`);
  if (changed === bootstrap) throw new Error('the bootstrap names no ROOTCA');
  return changed;
}

async function serverBootstrap(options: SidecarOptions): Promise<string> {
  const { folder, protocol, authzSocket } = options;
  const own = protocol === 'sotw' ? 'server' : 'service';
  const sotw = authzSocket === undefined ? 'server-sidecar' : 'authorized-sidecar';
  return await renderBootstrap(protocol === 'sotw' ? sotw : 'delta-sds', {
    ...(authzSocket === undefined
      ? { [`spiffe://example.org/client`]: options.allowedId ?? options.clientId }
      : { '/run/trustplane/authz.sock': authzSocket }),
    [`spiffe://example.org/${own}`]: options.serverId,
    '127.0.0.1:9901': adminSocketOf(folder, 'server'),
    ...(options.hosts === undefined && { '0.0.0.0:8443': path.join(folder, 'inbound.sock') }),
    '127.0.0.1:8080': path.join(folder, 'application.sock'),
    '/run/trustplane/agent.sock': agentSocketOf(options, 'server'),
    '3600s': '60s',
    ...(protocol === 'delta' && unusedOutbound(folder)),
  });
}

async function clientBootstrap(options: SidecarOptions): Promise<string> {
  const { folder, protocol } = options;
  const shared = {
    '127.0.0.1:8081': path.join(folder, 'outbound.sock'),
    '/run/trustplane/agent.sock': agentSocketOf(options, 'client'),
    '1800s': options.connectionDuration ?? '1s',
  };
  if (protocol === 'sotw')
    return await renderBootstrap('client-sidecar', {
      ...shared,
      'spiffe://example.org/client': options.clientId,
      'spiffe://example.org/server': options.serverId,
      '127.0.0.1:9902': adminSocketOf(folder, 'client'),
      ...inboundOf(options, 8443),
    });
  return await renderBootstrap('delta-sds', {
    ...shared,
    'spiffe://example.org/service': options.clientId,
    'spiffe://example.org/backend': options.serverId,
    '127.0.0.1:9901': adminSocketOf(folder, 'client'),
    '0.0.0.0:8443': path.join(folder, 'client-inbound.sock'),
    ...inboundOf(options, 8444),
  });
}

/** Where the client Envoy finds the server's. */
function inboundOf({ folder, hosts }: SidecarOptions, port: number): Record<string, string> {
  if (hosts === undefined) return { [`127.0.0.1:${port}`]: path.join(folder, 'inbound.sock') };
  const there = `address: ${hosts.server.address}, port_value: 8443`;
  return { [`address: 127.0.0.1, port_value: ${port}`]: there };
}

function agentSocketOf({ agentSocket }: SidecarOptions, side: keyof PerSide<string>): string {
  return typeof agentSocket === 'string' ? agentSocket : agentSocket[side];
}

function contextOf({ context }: SidecarOptions, side: keyof PerSide<string>): string | undefined {
  return typeof context === 'object' ? context[side] : context;
}

/** The direction that the delta bootstrap has and the server does not use. */
function unusedOutbound(folder: string): Record<string, string> {
  return {
    '127.0.0.1:8081': path.join(folder, 'server-outbound.sock'),
    '127.0.0.1:8444': path.join(folder, 'nowhere.sock'),
  };
}

/** Answers with what it saw of a request. */
async function serveApplication(socketPath: string): Promise<ReturnType<typeof createServer>> {
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(request.headers satisfies IncomingHttpHeaders));
  });
  server.listen(socketPath);
  await once(server, 'listening');
  return server;
}
