import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  createServer as createTlsServer,
  type TLSSocket,
  type Server as TlsServer,
} from 'node:tls';
import { messageOf, TrustplaneError, type X509Svid } from '../spiffe/index.ts';
import { CheckedSvid, type SvidVerifier } from './checked-svid.ts';
import { HandshakeWatch, PREFACE_BYTES } from './handshake-watch.ts';
import { lackOfRoom } from './lack-of-room.ts';
import { isCostly, takePeerChain } from './peer-chain.ts';
import { PeerWatch } from './peer-watch.ts';
import { RefusalNotes, type RefusalNotesOptions } from './refusal-notes.ts';
import { Room } from './room.ts';
import { ShunnedNetworks } from './shunned-networks.ts';
import { plainAddress, sourceNetwork } from './source-network.ts';
import { type RemoteCaller, TlsPeer, tlsPeers } from './tls-peers.ts';
import { ALPN_PROTOCOLS, type TlsIdentity, withTlsSettings } from './tls-settings.ts';
import type { Refusal } from './wire-metrics.ts';

interface ConnectionHost {
  injectConnection(connection: Duplex): void;
  retire?(connection: Duplex): void;
}

export interface TlsGateOptions extends RefusalNotesOptions {
  /** Who serves callers of each kind. */
  readonly hosts: Readonly<Record<RemoteCaller['kind'], ConnectionHost>>;
  /** What the server presents; asked for each connection. */
  identity(): TlsIdentity;
  /** What clients' SVIDs are held against. */
  readonly verifier: SvidVerifier;
  /** Whether an SVID that is good may call; asked again while it is connected. Default: any may. */
  readonly admits?: (svid: X509Svid) => boolean;
  readonly maxConnections: number;
  readonly maxConnectionsPerNetwork: number;
  readonly maxAnonymousConnections: number;
  readonly handshakeTimeoutMs: number;
}

/** Decides on each accepted TCP connection: is there room, does it speak TLS, whose SVID; then hands it to gRPC. */
export class TlsGate {
  readonly #options: TlsGateOptions;
  readonly #tls: TlsServer;
  readonly #handshakes: HandshakeWatch;
  readonly #room: Room<string>;
  readonly #notes: RefusalNotes;
  readonly #shunned: ShunnedNetworks;
  readonly #watch: PeerWatch | undefined;
  /** In their handshake, by the addresses at both ends. */
  readonly #unsecured = new Map<string, Connection>();
  #identity: TlsIdentity;
  #anonymous = 0;

  /** @throws TrustplaneError ERR_TLS_IDENTITY; whatever `identity` throws */
  constructor(options: TlsGateOptions) {
    this.#options = options;
    const { maxConnections, maxConnectionsPerNetwork } = options;
    this.#handshakes = new HandshakeWatch(options.clock, options.handshakeTimeoutMs);
    this.#room = new Room({ max: maxConnections, maxPerOwner: maxConnectionsPerNetwork });
    this.#notes = new RefusalNotes(options);
    this.#shunned = new ShunnedNetworks(options.clock);
    this.#watch = options.admits && this.#createWatch(options.admits);
    this.#identity = options.identity();
    this.#tls = createServer(this.#identity);
    this.#tls.on('secureConnection', (socket) => this.#secured(socket));
    this.#tls.on('tlsClientError', (error, socket) => this.#failed(error, socket));
  }

  admit(socket: Socket): void {
    socket.on('error', ignoreError);
    const connection = this.#enter(socket);
    if (connection === undefined) return;
    this.#handshakes.add({
      isOver: () => connection.hasBegun(),
      expire: () =>
        this.#refuse(connection, 'handshake_timeout', 'the peer did not begin to speak HTTP/2'),
    });
    try {
      this.#presentNewest();
    } catch (error) {
      return this.#refuse(connection, 'server_identity', messageOf(error));
    }
    this.#tls.emit('connection', socket);
  }

  acceptFailed(error: Error): void {
    this.#notes.note('accept_error', messageOf(error));
  }

  /** Ends what is still in its handshake. */
  close(): void {
    this.#handshakes.close();
    this.#watch?.close();
    for (const connection of this.#unsecured.values()) connection.socket.destroy();
  }

  /** Counts the connection in, if there is room for it. */
  #enter(socket: Socket): Connection | undefined {
    const { remoteAddress } = socket;
    if (remoteAddress === undefined) {
      socket.destroy();
      this.#notes.note('peer_gone', 'the peer left before it was accepted');
      return undefined;
    }
    const connection = new Connection(socket, remoteAddress);
    const { network } = connection;
    const lack = lackOfRoom(this.#room, network);
    if (lack !== undefined) return this.#refuse(connection, lack.reason, lack.why);
    if (this.#shunned.has(network)) {
      const why = `${network} sent a chain that is costly to check`;
      return this.#refuse(connection, 'shunned_network', why);
    }
    this.#room.enter(network);
    this.#options.metrics.accepted();
    this.#unsecured.set(connection.ends, connection);
    socket.on('close', () => this.#closed(connection));
    return connection;
  }

  #closed(connection: Connection): void {
    this.#unsecured.delete(connection.ends);
    this.#room.leave(connection.network);
    this.#options.metrics.closed();
    if (connection.key === undefined) return;
    if (tlsPeers.get(connection.key)?.caller.kind === 'anonymous') this.#anonymous -= 1;
    tlsPeers.remove(connection.key);
  }

  /** A renewed identity is presented from the next connection on. */
  #presentNewest(): void {
    const identity = this.#options.identity();
    if (identity === this.#identity) return;
    withTlsSettings(identity, (settings) => this.#tls.setSecureContext(settings));
    this.#identity = identity;
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', ignoreError);
    const connection = this.#take(socket);
    if (connection === undefined) {
      socket.destroy();
      return;
    }
    if (socket.alpnProtocol !== ALPN_PROTOCOLS[0]) {
      return this.#refuse(connection, 'alpn', 'the client did not offer h2 in ALPN');
    }
    const peer = this.#identify(socket, connection);
    if (peer === undefined) return;
    connection.key = tlsPeers.add(peer);
    connection.bytesOfHandshake = connection.socket.bytesRead;
    if (peer.caller.kind === 'anonymous') this.#anonymous += 1;
    // What grpc-js answers to call.getPeer().
    Object.defineProperty(socket, 'remoteAddress', { value: connection.key });
    Object.defineProperty(socket, 'remotePort', { value: undefined });
    this.#watch?.add({ peer, socket });
    this.#options.hosts[peer.caller.kind].injectConnection(socket);
  }

  #createWatch(admits: (svid: X509Svid) => boolean): PeerWatch {
    const { clock, hosts } = this.#options;
    return new PeerWatch({
      clock,
      admits: ({ caller }) => caller.kind === 'anonymous' || admits(caller.svid),
      retire: ({ peer, socket }) => hosts[peer.caller.kind].retire?.(socket),
      refuse: ({ peer, socket }, why) => {
        socket.destroy();
        this.#notes.note('client_certificate', why, { address: peer.caller.address });
      },
    });
  }

  #identify(socket: TLSSocket, connection: Connection): TlsPeer | undefined {
    const { verifier, maxAnonymousConnections } = this.#options;
    const chain = takePeerChain(socket);
    if (isCostly(chain)) this.#shunned.add(connection.network);
    if (chain.length > 0) {
      try {
        const checked = new CheckedSvid(chain, verifier);
        if (this.#options.admits?.(checked.svid) !== false)
          return new TlsPeer(connection.address, checked);
        const id = checked.svid.spiffeId.toString();
        return this.#refuse(connection, 'client_certificate', `${id} is not admitted here`);
      } catch (error) {
        const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
        return this.#refuse(connection, 'client_certificate', messageOf(error), { code });
      }
    }
    if (this.#anonymous < maxAnonymousConnections)
      return new TlsPeer(connection.address, undefined);
    const why = `there are ${this.#anonymous} connections without client certificate`;
    return this.#refuse(connection, 'max_anonymous_connections', why);
  }

  #failed(error: Error, socket: TLSSocket): void {
    const connection = this.#take(socket);
    socket.destroy();
    if (connection === undefined) return;
    const left = 'code' in error && error.code === 'ECONNRESET';
    this.#refuse(connection, left ? 'peer_gone' : 'tls_error', messageOf(error));
  }

  #take(socket: TLSSocket): Connection | undefined {
    const ends = endsOf(socket);
    const connection = this.#unsecured.get(ends);
    this.#unsecured.delete(ends);
    return connection;
  }

  #refuse(connection: Connection, reason: Refusal, why: string, fields: object = {}): undefined {
    connection.socket.destroy();
    this.#notes.note(reason, why, { address: connection.address, ...fields });
  }
}

class Connection {
  readonly socket: Socket;
  readonly address: string;
  readonly network: string;
  readonly ends: string;
  /** Once it is handed to gRPC. */
  key: string | undefined;
  bytesOfHandshake = Number.POSITIVE_INFINITY;

  constructor(socket: Socket, remoteAddress: string) {
    this.socket = socket;
    this.address = plainAddress(remoteAddress);
    this.network = sourceNetwork(remoteAddress);
    this.ends = endsOf(socket);
  }

  hasBegun(): boolean {
    const { destroyed, bytesRead } = this.socket;
    return destroyed || bytesRead - this.bytesOfHandshake >= PREFACE_BYTES;
  }
}

/** What tells a connection from all others that are open; the same for a socket and the TLS over it. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

function createServer(identity: TlsIdentity): TlsServer {
  return withTlsSettings(identity, (settings) =>
    createTlsServer({
      ...settings,
      ALPNProtocols: ALPN_PROTOCOLS,
      requestCert: true,
      rejectUnauthorized: false,
    }),
  );
}

/** `close` follows, and says all there is to say. */
function ignoreError(): void {}
