import type { Socket } from 'node:net';
import type { ConnectionInjector } from '@grpc/grpc-js';
import type { Log } from '../ops/index.ts';
import { type Clock, messageOf, TrustplaneError } from '../spiffe/index.ts';
import { HandshakeWatch } from './handshake-watch.ts';
import type { ProcessTable } from './process-table.ts';
import type { Refusal, SocketMetrics } from './wire-metrics.ts';

/** One warning for each reason in this time; the metric counts them all. */
const WARN_EVERY_MS = 10_000;

export interface GateOptions {
  readonly peers: ProcessTable;
  readonly injector: Pick<ConnectionInjector, 'injectConnection'>;
  readonly metrics: SocketMetrics;
  readonly log: Log;
  readonly clock: Clock;
  readonly maxConnections: number;
  readonly maxConnectionsPerUser: number;
  /** Users whom that bound does not hold: they could stop this process anyway. */
  readonly trustedUsers: ReadonlySet<number>;
  readonly handshakeTimeoutMs: number;
}

/** Decides on each accepted connection: who it is, whether there is room, then hands it to gRPC. */
export class ConnectionGate {
  readonly #options: GateOptions;
  readonly #handshakes: HandshakeWatch;
  readonly #perUser = new Map<number, number>();
  readonly #warnedAt = new Map<Refusal, number>();
  /** One function for all sockets; `this` is the socket. */
  readonly #onClose: (this: Socket) => void;
  #connections = 0;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#handshakes = new HandshakeWatch(options.clock, options.handshakeTimeoutMs, (socket) =>
      this.#refuse(socket, 'handshake_timeout', 'the peer did not begin to speak HTTP/2'),
    );
    const forget = (key: string | undefined): void => this.#forget(key);
    this.#onClose = function onClose() {
      forget(this.remoteAddress);
    };
  }

  admit(socket: Socket): void {
    const { peers, maxConnections, metrics, injector } = this.#options;
    if (this.#connections >= maxConnections) {
      return this.#refuse(socket, 'max_connections', `there are ${maxConnections} connections`);
    }
    const key = this.#identify(socket);
    if (key === undefined) return;
    const uid = peers.get(key)?.uid ?? -1;
    if (!this.#hasRoom(uid)) {
      peers.release(key);
      const why = `user ${uid} has ${this.#perUser.get(uid)} connections`;
      return this.#refuse(socket, 'max_connections_per_user', why);
    }
    this.#count(uid, 1);
    metrics.accepted();
    // What grpc-js answers to call.getPeer().
    Object.defineProperty(socket, 'remoteAddress', { value: key });
    socket.on('close', this.#onClose);
    this.#handshakes.add(socket);
    injector.injectConnection(socket);
  }

  acceptFailed(error: Error): void {
    this.#note('accept_error', messageOf(error));
  }

  close(): void {
    this.#handshakes.close();
  }

  #identify(socket: Socket): string | undefined {
    try {
      return this.#options.peers.acquire(descriptorOf(socket));
    } catch (error) {
      const gone = error instanceof TrustplaneError && error.code === 'ERR_PEER_GONE';
      this.#refuse(socket, gone ? 'peer_gone' : 'peer_unknown', messageOf(error));
      return undefined;
    }
  }

  #forget(key: string | undefined): void {
    if (key === undefined) return;
    const { peers, metrics } = this.#options;
    this.#count(peers.get(key)?.uid ?? -1, -1);
    peers.release(key);
    metrics.closed();
  }

  #hasRoom(uid: number): boolean {
    const { trustedUsers, maxConnectionsPerUser } = this.#options;
    return trustedUsers.has(uid) || (this.#perUser.get(uid) ?? 0) < maxConnectionsPerUser;
  }

  #count(uid: number, change: 1 | -1): void {
    this.#connections += change;
    const ofUser = (this.#perUser.get(uid) ?? 0) + change;
    if (ofUser > 0) this.#perUser.set(uid, ofUser);
    else this.#perUser.delete(uid);
  }

  #refuse(socket: Socket, reason: Refusal, why: string): void {
    socket.destroy();
    this.#note(reason, why);
  }

  #note(reason: Refusal, why: string): void {
    const { metrics, log, clock } = this.#options;
    metrics.refused(reason);
    const now = clock.now();
    if (Math.abs(now - (this.#warnedAt.get(reason) ?? -WARN_EVERY_MS)) < WARN_EVERY_MS) return;
    this.#warnedAt.set(reason, now);
    log.warn({ reason, why }, 'a connection was refused');
  }
}

/**
 * The descriptor of an accepted socket. Node keeps it in an undocumented place, hence the self-test
 * at start (design decision: docs/adr/0001).
 * @throws TrustplaneError ERR_PEER_UNKNOWN when it is not there
 */
export function descriptorOf(socket: Socket): number {
  const handle: unknown = Reflect.get(socket, '_handle');
  const descriptor: unknown =
    typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined;
  if (typeof descriptor === 'number' && descriptor >= 0) return descriptor;
  throw new TrustplaneError('ERR_PEER_UNKNOWN', 'the accepted socket has no file descriptor');
}
