import { createServer, type Socket } from 'node:net';
import { type Log, type Metrics, systemClock } from '../ops/index.ts';
import type { Clock } from '../spiffe/index.ts';
import { type BytesService, createBytesHost } from './bytes-service.ts';
import { affordableConnections } from './descriptor-limit.ts';
import { HandshakeWatch, PREFACE_BYTES } from './handshake-watch.ts';
import { lackOfRoom } from './lack-of-room.ts';
import { listenTcp, type TcpAddress, tcpSettings } from './listen-tcp.ts';
import { RefusalNotes } from './refusal-notes.ts';
import { Room } from './room.ts';
import { drainListener, type Host } from './rpc-host.ts';
import { sourceNetwork } from './source-network.ts';
import type { GrpcTlsServer } from './tls-server.ts';
import { createSocketMetrics } from './wire-metrics.ts';

export interface TcpServerOptions extends TcpAddress {
  readonly bytes: BytesService;
  readonly log: Log;
  readonly metrics: Metrics;
  /** The value of the metrics' label `socket`; default `tcp`. */
  readonly name?: string;
  /** Default 20,000, or what the limit on open files leaves room for. */
  readonly maxConnections?: number;
  /** From one IPv4 address or one IPv6 /64; default three quarters. */
  readonly maxConnectionsPerNetwork?: number;
  /** Calls open at one time; default 50,000. From one network: three quarters. */
  readonly maxCalls?: number;
  /** A connection that has not begun to speak HTTP/2 by then is closed (within twice the time); default 10 s. */
  readonly handshakeTimeoutMs?: number;
  readonly clock?: Clock;
}

const SHARE_OF_NETWORK = 0.75;

/** Serves methods of bytes on TCP, in clear text and to whoever connects. @throws TrustplaneError ERR_LISTEN */
export async function serveTcp(options: TcpServerOptions): Promise<GrpcTlsServer> {
  const { clock = systemClock, metrics, maxCalls = 50_000 } = options;
  const log = options.log.child({ socket: `${options.host}:${options.port}` });
  const maxCallsPerOwner = Math.ceil(maxCalls * SHARE_OF_NETWORK);
  const calls = { maxCalls, maxCallsPerOwner, ownerOf: sourceNetwork };
  const host = createBytesHost(options.bytes, { calls, log, metrics, clock });
  const gate = new TcpGate(host, log, options);
  const listener = createServer(tcpSettings, (socket) => gate.admit(socket));
  const address = await listenTcp(listener, options);
  listener.on('error', (error) => gate.acceptFailed(error));
  log.info(address, 'listening');
  let closed: Promise<void> | undefined;
  return {
    ...address,
    close: (graceMs) => (closed ??= drainListener(listener, gate, [host], graceMs)),
  };
}

/** Decides on each accepted connection: is there room, does it speak; then hands it to gRPC. */
class TcpGate {
  readonly #host: Host;
  readonly #handshakes: HandshakeWatch;
  readonly #room: Room<string>;
  readonly #metrics;
  readonly #notes: RefusalNotes;

  constructor(host: Host, log: Log, options: TcpServerOptions) {
    const { clock = systemClock, handshakeTimeoutMs = 10_000 } = options;
    this.#host = host;
    this.#handshakes = new HandshakeWatch(clock, handshakeTimeoutMs);
    const max = affordableConnections(options.maxConnections ?? 20_000, log);
    const maxPerOwner = options.maxConnectionsPerNetwork ?? Math.ceil(max * SHARE_OF_NETWORK);
    this.#room = new Room({ max, maxPerOwner });
    this.#metrics = createSocketMetrics(options.metrics, options.name ?? 'tcp', 'tcp');
    this.#notes = new RefusalNotes({ metrics: this.#metrics, log, clock });
  }

  admit(socket: Socket): void {
    // `close` follows, and says all there is to say.
    socket.on('error', () => {});
    const { remoteAddress } = socket;
    if (remoteAddress === undefined) {
      socket.destroy();
      return this.#notes.note('peer_gone', 'the peer left before it was accepted');
    }
    const network = sourceNetwork(remoteAddress);
    const lack = lackOfRoom(this.#room, network);
    if (lack !== undefined) {
      socket.destroy();
      return this.#notes.note(lack.reason, lack.why);
    }
    this.#enter(socket, network);
    this.#host.injectConnection(socket);
  }

  acceptFailed(error: Error): void {
    this.#notes.note('accept_error', error.message);
  }

  close(): void {
    this.#handshakes.close();
  }

  #enter(socket: Socket, network: string): void {
    this.#room.enter(network);
    this.#metrics.accepted();
    socket.on('close', () => {
      this.#room.leave(network);
      this.#metrics.closed();
    });
    this.#handshakes.add({
      isOver: () => socket.destroyed || socket.bytesRead >= PREFACE_BYTES,
      expire: () => {
        socket.destroy();
        this.#notes.note('handshake_timeout', 'the peer did not begin to speak HTTP/2');
      },
    });
  }
}
