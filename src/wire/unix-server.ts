import { createServer } from 'node:net';
import { basename } from 'node:path';
import type { ServerOptions } from '@grpc/grpc-js';
import { type Log, type Metrics, systemClock } from '../ops/index.ts';
import type { Clock } from '../spiffe/index.ts';
import { type BytesService, createBytesHost } from './bytes-service.ts';
import { ConnectionGate } from './connection-gate.ts';
import { affordableConnections, affordablePerUser } from './descriptor-limit.ts';
import { grpcServerOptions } from './grpc-limits.ts';
import type { CallLimits } from './open-calls.ts';
import { peers } from './peers.ts';
import type { GrpcService } from './protos.ts';
import { drainListener, type Host, RpcHost } from './rpc-host.ts';
import { listenOnSocketFile } from './socket-file.ts';
import { createSocketMetrics } from './wire-metrics.ts';

/** Connections that may wait to be accepted; the kernel takes the lesser of this and net.core.somaxconn. */
const BACKLOG = 4096;

export interface UnixServerOptions {
  /** At most 107 bytes once absolute. */
  readonly path: string;
  /** Permissions of the socket, such as 0o600. */
  readonly mode: number;
  /** Permissions of folders that have to be made; default 0o755. */
  readonly directoryMode?: number;
  readonly services?: readonly GrpcService[];
  /** Instead of services: methods of bytes; `maxReceiveBytes` is theirs. */
  readonly bytes?: BytesService;
  /** The value of the metrics' label `socket`; default the file's name. */
  readonly name?: string;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock?: Clock;
  /** Default 20,000, or what the limit on open files leaves room for. */
  readonly maxConnections?: number;
  /** Of one user, so that none can keep out the others; default three quarters. Holds neither root nor this process's own user. */
  readonly maxConnectionsPerUser?: number;
  /** Of one received message; default 4 MiB. */
  readonly maxReceiveBytes?: number;
  /** Of one sent message; default 16 MiB. */
  readonly maxSendBytes?: number;
  /** Calls open at one time, streams and others; default 50,000. */
  readonly maxCalls?: number;
  /** Of one user; default three quarters. Holds neither root nor this process's own user. */
  readonly maxCallsPerUser?: number;
  /** A connection that has not begun to speak HTTP/2 by then is closed (within twice the time); default 10 s. */
  readonly handshakeTimeoutMs?: number;
}

export interface UnixServer {
  /** Absolute. */
  readonly path: string;
  /**
   * Takes the socket away, ends every stream with UNAVAILABLE, sends GOAWAY, and destroys what is
   * left after `graceMs`. Resolves when the last connection is closed.
   */
  close(graceMs: number): Promise<void>;
}

/**
 * Serves gRPC on a Unix socket, with the kernel's word on who calls (`peerOf`).
 * @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG, ERR_SOCKET_IN_USE
 */
export async function serveUnix(options: UnixServerOptions): Promise<UnixServer> {
  const log = options.log.child({ socket: options.path });
  const host = createHost(options, log);
  const gate = createGate(host, log, options);
  const listener = createServer((socket) => gate.admit(socket));
  const file = await listenOnSocketFile(listener, {
    path: options.path,
    mode: options.mode,
    directoryMode: options.directoryMode ?? 0o755,
    backlog: BACKLOG,
  });
  listener.on('error', (error) => gate.acceptFailed(error));
  log.info({}, 'listening');
  let closed: Promise<void> | undefined;
  return {
    path: file.path,
    close(graceMs) {
      if (closed === undefined) file.remove();
      return (closed ??= drainListener(listener, gate, [host], graceMs));
    },
  };
}

function createHost(options: UnixServerOptions, log: Log): Host {
  const { services = [], bytes, metrics, clock = systemClock } = options;
  const common = { calls: callLimits(options), log, metrics, clock };
  if (bytes !== undefined) return createBytesHost(bytes, common);
  return new RpcHost({ services, grpc: grpcOptions(options), ...common });
}

function grpcOptions({ maxReceiveBytes, maxSendBytes }: UnixServerOptions): ServerOptions {
  return {
    ...grpcServerOptions,
    ...(maxReceiveBytes !== undefined && { 'grpc.max_receive_message_length': maxReceiveBytes }),
    ...(maxSendBytes !== undefined && { 'grpc.max_send_message_length': maxSendBytes }),
  };
}

function callLimits(options: UnixServerOptions): CallLimits {
  const maxCalls = options.maxCalls ?? 50_000;
  const trusted = trustedUsers();
  return {
    maxCalls,
    maxCallsPerOwner: options.maxCallsPerUser ?? Math.ceil(maxCalls * 0.75),
    ownerOf(peer) {
      const uid = peers.get(peer)?.uid ?? -1;
      return trusted.has(uid) ? undefined : `user ${uid}`;
    },
  };
}

function createGate(host: Host, log: Log, options: UnixServerOptions): ConnectionGate {
  const maxConnections = affordableConnections(options.maxConnections ?? 20_000, log);
  return new ConnectionGate({
    peers,
    injector: host,
    log,
    metrics: createSocketMetrics(options.metrics, options.name ?? basename(options.path), 'unix'),
    clock: options.clock ?? systemClock,
    maxConnections,
    maxConnectionsPerUser: options.maxConnectionsPerUser ?? affordablePerUser(maxConnections),
    trustedUsers: trustedUsers(),
    handshakeTimeoutMs: options.handshakeTimeoutMs ?? 10_000,
  });
}

/** They could stop this process anyway. */
function trustedUsers(): ReadonlySet<number> {
  return new Set([0, process.geteuid?.() ?? 0]);
}
