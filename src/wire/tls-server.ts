import { createServer } from 'node:net';
import { type Log, type Metrics, systemClock } from '../ops/index.ts';
import type { Bundle, Clock, X509Svid } from '../spiffe/index.ts';
import { type BytesService, createBytesHost } from './bytes-service.ts';
import { affordableConnections } from './descriptor-limit.ts';
import { grpcAnonymousServerOptions, grpcTcpServerOptions } from './grpc-limits.ts';
import { listenTcp, tcpSettings } from './listen-tcp.ts';
import type { CallLimits } from './open-calls.ts';
import type { GrpcService } from './protos.ts';
import { drainListener, type Host, RpcHost } from './rpc-host.ts';
import { sourceNetwork } from './source-network.ts';
import { TlsGate } from './tls-gate.ts';
import { type RemoteCaller, tlsPeers } from './tls-peers.ts';
import type { TlsIdentity } from './tls-settings.ts';
import { createSocketMetrics } from './wire-metrics.ts';

export interface TlsLimits {
  /** Default 20,000, or what the limit on open files leaves room for. */
  readonly maxConnections?: number;
  /** From one IPv4 address or one IPv6 /64; default a quarter. */
  readonly maxConnectionsPerNetwork?: number;
  /** Without client certificate, so that they cannot keep out agents; default 2,000, at most half of all. */
  readonly maxAnonymousConnections?: number;
  /** Calls with a client certificate open at one time, streams and others; default 50,000. */
  readonly maxCalls?: number;
  /** Of one SPIFFE ID; default 1,000. */
  readonly maxCallsPerCaller?: number;
  /** Calls without client certificate open at one time; default 2,000. */
  readonly maxAnonymousCalls?: number;
  /** From one IPv4 address or one IPv6 /64; default half. */
  readonly maxAnonymousCallsPerNetwork?: number;
  /** A connection that has not begun to speak HTTP/2 by then is closed (within twice the time); default 10 s. */
  readonly handshakeTimeoutMs?: number;
}

export interface TlsServerOptions {
  /** IP address or name of this host's interface, such as `0.0.0.0`. */
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  /** What the server presents. Asked for each connection: a new object is presented at once. */
  identity(): TlsIdentity;
  /** The bundle of the own trust domain, against which clients' SVIDs are verified; a new object for each change. */
  trust(): Bundle;
  readonly services?: readonly GrpcService[];
  /** Instead of services, for callers of either kind: methods of bytes. */
  readonly bytes?: BytesService;
  /** Whether an SVID that is good may call; asked again while it is connected. Default: any may. */
  readonly admits?: (svid: X509Svid) => boolean;
  /** Paths of unary methods with requests of at most 16 KiB that callers with an SVID call often; see `takeQuickCalls`. */
  readonly quickMethods?: readonly string[];
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits?: TlsLimits;
  /** The value of the metrics' label `socket`; default `tcp`. */
  readonly name?: string;
  readonly clock?: Clock;
}

export interface GrpcTlsServer {
  /** IP address. */
  readonly host: string;
  readonly port: number;
  /**
   * Accepts no more, ends every stream with UNAVAILABLE, sends GOAWAY, and destroys what is left
   * after `graceMs`. Resolves when the last connection is closed.
   */
  close(graceMs: number): Promise<void>;
}

/**
 * Serves gRPC over TLS on TCP. A client certificate is asked for, not required; one that is presented
 * must be an SVID of the own trust domain, or the connection is closed. `callerOf` says who calls.
 * @throws TrustplaneError ERR_LISTEN, ERR_TLS_IDENTITY
 */
export async function serveTls(options: TlsServerOptions): Promise<GrpcTlsServer> {
  const log = options.log.child({ socket: `${options.host}:${options.port}` });
  const hosts = createHosts(log, options);
  const gate = createGate(hosts, log, options);
  const listener = createServer(tcpSettings, (socket) => gate.admit(socket));
  const address = await listenTcp(listener, options);
  listener.on('error', (error) => gate.acceptFailed(error));
  log.info(address, 'listening');
  let closed: Promise<void> | undefined;
  return {
    ...address,
    close: (graceMs) =>
      (closed ??= drainListener(listener, gate, [hosts.svid, hosts.anonymous], graceMs)),
  };
}

type Hosts = Readonly<Record<RemoteCaller['kind'], Host>>;

function createHosts(log: Log, options: TlsServerOptions): Hosts {
  const { services = [], bytes, metrics, limits = {}, quickMethods, clock = systemClock } = options;
  const svid = { calls: callLimits(limits), log, metrics, clock, saysTime: true };
  const anonymous = { ...svid, calls: anonymousCallLimits(limits) };
  if (bytes !== undefined) {
    return { svid: createBytesHost(bytes, svid), anonymous: createBytesHost(bytes, anonymous) };
  }
  return {
    svid: new RpcHost({
      ...(quickMethods && { quick: new Set(quickMethods) }),
      ...svid,
      services,
      grpc: grpcTcpServerOptions,
    }),
    anonymous: new RpcHost({ ...anonymous, services, grpc: grpcAnonymousServerOptions }),
  };
}

function callLimits({ maxCalls = 50_000, maxCallsPerCaller = 1_000 }: TlsLimits): CallLimits {
  return { maxCalls, maxCallsPerOwner: maxCallsPerCaller, ownerOf };
}

function anonymousCallLimits(limits: TlsLimits): CallLimits {
  const maxCalls = limits.maxAnonymousCalls ?? 2_000;
  const maxCallsPerOwner = limits.maxAnonymousCallsPerNetwork ?? Math.ceil(maxCalls / 2);
  return { maxCalls, maxCallsPerOwner, ownerOf };
}

function ownerOf(key: string): string {
  const caller = tlsPeers.get(key)?.caller;
  if (caller === undefined) return 'a closed connection';
  return caller.kind === 'svid'
    ? caller.svid.spiffeId.toString()
    : `network ${sourceNetwork(caller.address)}`;
}

function createGate(hosts: Hosts, log: Log, options: TlsServerOptions): TlsGate {
  const { limits = {}, clock = systemClock } = options;
  const maxConnections = affordableConnections(limits.maxConnections ?? 20_000, log);
  return new TlsGate({
    hosts,
    log,
    clock,
    metrics: createSocketMetrics(options.metrics, options.name ?? 'tcp', 'tls'),
    identity: () => options.identity(),
    verifier: { bundle: () => options.trust(), clock },
    ...(options.admits && { admits: options.admits }),
    maxConnections,
    maxConnectionsPerNetwork: limits.maxConnectionsPerNetwork ?? Math.ceil(maxConnections / 4),
    maxAnonymousConnections:
      limits.maxAnonymousConnections ?? Math.min(2_000, Math.ceil(maxConnections / 2)),
    handshakeTimeoutMs: limits.handshakeTimeoutMs ?? 10_000,
  });
}
