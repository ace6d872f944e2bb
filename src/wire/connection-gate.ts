import type { Socket } from 'node:net';
import type { ConnectionInjector } from '@grpc/grpc-js';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { HandshakeWatch, PREFACE_BYTES } from './handshake-watch.ts';
import type { ProcessTable } from './process-table.ts';
import { RefusalNotes, type RefusalNotesOptions } from './refusal-notes.ts';
import { Room } from './room.ts';
import type { Refusal } from './wire-metrics.ts';

export interface GateOptions extends RefusalNotesOptions {
  readonly peers: ProcessTable;
  readonly injector: Pick<ConnectionInjector, 'injectConnection'>;
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
  readonly #room: Room<number>;
  readonly #notes: RefusalNotes;
  /** One function for all sockets; `this` is the socket. */
  readonly #onClose: (this: Socket) => void;

  constructor(options: GateOptions) {
    this.#options = options;
    const { clock, handshakeTimeoutMs, maxConnections, maxConnectionsPerUser } = options;
    this.#handshakes = new HandshakeWatch(clock, handshakeTimeoutMs);
    this.#room = new Room({ max: maxConnections, maxPerOwner: maxConnectionsPerUser });
    this.#notes = new RefusalNotes(options);
    const forget = (key: string | undefined): void => this.#forget(key);
    this.#onClose = function onClose() {
      forget(this.remoteAddress);
    };
  }

  admit(socket: Socket): void {
    const { peers, maxConnections, metrics, injector } = this.#options;
    if (this.#room.isFull) {
      return this.#refuse(socket, 'max_connections', `there are ${maxConnections} connections`);
    }
    const key = this.#identify(socket);
    if (key === undefined) return;
    const uid = peers.get(key)?.uid ?? -1;
    if (!this.#hasRoom(uid)) {
      peers.release(key);
      const why = `user ${uid} has ${this.#room.of(uid)} connections`;
      return this.#refuse(socket, 'max_connections_per_user', why);
    }
    this.#room.enter(uid);
    metrics.accepted();
    // What grpc-js answers to call.getPeer().
    Object.defineProperty(socket, 'remoteAddress', { value: key });
    socket.on('close', this.#onClose);
    this.#watch(socket);
    injector.injectConnection(socket);
  }

  acceptFailed(error: Error): void {
    this.#notes.note('accept_error', messageOf(error));
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
    this.#room.leave(peers.get(key)?.uid ?? -1);
    peers.release(key);
    metrics.closed();
  }

  #hasRoom(uid: number): boolean {
    return this.#options.trustedUsers.has(uid) || this.#room.hasRoomFor(uid);
  }

  #watch(socket: Socket): void {
    this.#handshakes.add({
      isOver: () => socket.destroyed || socket.bytesRead >= PREFACE_BYTES,
      expire: () =>
        this.#refuse(socket, 'handshake_timeout', 'the peer did not begin to speak HTTP/2'),
    });
  }

  #refuse(socket: Socket, reason: Refusal, why: string): void {
    socket.destroy();
    this.#notes.note(reason, why);
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
