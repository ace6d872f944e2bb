import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { type Clock, messageOf, type Timer } from '../spiffe/index.ts';
import { asksForAcme, peekClientHello } from './client-hello.ts';
import { lackOfRoom } from './lack-of-room.ts';
import { RefusalNotes, type RefusalNotesOptions } from './refusal-notes.ts';
import { Room } from './room.ts';
import { plainAddress, sourceNetwork } from './source-network.ts';
import { type TlsIdentity, withTlsSettings } from './tls-settings.ts';
import type { Refusal } from './wire-metrics.ts';

export interface HttpsGateOptions extends RefusalNotesOptions {
  readonly http: HttpServer;
  identity(): TlsIdentity;
  acmeChallenge(): TlsIdentity | undefined;
  readonly maxConnections: number;
  readonly maxConnectionsPerNetwork: number;
  /** On one connection. */
  readonly maxRequests: number;
  readonly requestTimeoutMs: number;
  readonly answerTimeoutMs: number;
}

/**
 * Decides on each accepted TCP connection, and when it has had its time: to say what it wants, with
 * the handshake before that, and to take the answer. No certificate is asked for.
 */
export class HttpsGate {
  readonly #options: HttpsGateOptions;
  readonly #tls: TlsServer;
  readonly #room: Room<string>;
  readonly #notes: RefusalNotes;
  /** By the addresses at both ends. */
  readonly #open = new Map<string, Connection>();
  #identity: TlsIdentity | undefined;
  #prover: { readonly challenge: TlsIdentity; readonly tls: TlsServer } | undefined;
  #isClosing = false;

  constructor(options: HttpsGateOptions) {
    this.#options = options;
    const { maxConnections, maxConnectionsPerNetwork } = options;
    this.#room = new Room({ max: maxConnections, maxPerOwner: maxConnectionsPerNetwork });
    this.#notes = new RefusalNotes(options);
    this.#tls = this.#createTls(undefined, 'http/1.1');
    this.#tls.on('secureConnection', (socket) => options.http.emit('connection', socket));
    options.http.prependListener('request', (request, response) => this.#asked(request, response));
  }

  admit(socket: Socket): void {
    socket.on('error', ignoreError);
    const connection = this.#enter(socket);
    if (connection === undefined) return;
    this.#giveTime(connection);
    const challenge = this.#options.acmeChallenge();
    if (challenge === undefined) this.#secure(connection);
    else void this.#secureEither(connection, challenge);
  }

  acceptFailed(error: Error): void {
    this.#notes.note('accept_error', messageOf(error));
  }

  /** Ends what is not being answered; the others as soon as they have been. */
  close(): void {
    this.#isClosing = true;
    for (const connection of this.#open.values()) {
      if (connection.answering === 0) connection.socket.destroy();
    }
  }

  destroyAll(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
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
    this.#room.enter(network);
    this.#options.metrics.accepted();
    this.#open.set(connection.ends, connection);
    socket.on('close', () => this.#closed(connection));
    return connection;
  }

  #closed(connection: Connection): void {
    connection.timer?.cancel();
    this.#open.delete(connection.ends);
    this.#room.leave(connection.network);
    this.#options.metrics.closed();
  }

  /** Until the next request is there, from its first byte to its last header. */
  #giveTime(connection: Connection): void {
    const isFirst = connection.requests === 0;
    connection.startTimer(this.#options.clock, this.#options.requestTimeoutMs, () => {
      if (isFirst) this.#refuse(connection, 'request_timeout', 'no request came');
      else connection.socket.destroy();
    });
  }

  async #secureEither(connection: Connection, challenge: TlsIdentity): Promise<void> {
    const hello = await peekClientHello(connection.socket);
    if (hello === undefined) return;
    if (asksForAcme(hello)) this.#proverOf(challenge).emit('connection', connection.socket);
    else this.#secure(connection);
  }

  /** Shows the proof, and has no more to say. */
  #proverOf(challenge: TlsIdentity): TlsServer {
    if (this.#prover?.challenge !== challenge) {
      const tls = this.#createTls(challenge, 'acme-tls/1');
      tls.on('secureConnection', (socket) => socket.on('error', ignoreError).end());
      this.#prover = { challenge, tls };
    }
    return this.#prover.tls;
  }

  /** A renewed identity is presented from the next connection on. */
  #secure(connection: Connection): void {
    try {
      const identity = this.#options.identity();
      if (identity !== this.#identity) {
        withTlsSettings(identity, (settings) => this.#tls.setSecureContext(settings));
        this.#identity = identity;
      }
    } catch (error) {
      return this.#refuse(connection, 'server_identity', messageOf(error));
    }
    this.#tls.emit('connection', connection.socket);
  }

  #createTls(identity: TlsIdentity | undefined, protocol: string): TlsServer {
    return withTlsSettings(identity, (settings) =>
      createServer({ ...settings, ALPNProtocols: [protocol], requestCert: false }),
    ).on('tlsClientError', (error, socket) => this.#failed(error, socket));
  }

  /** An answer on the connection has begun, and not ended. */
  isAnswering(socket: Duplex): boolean {
    return socket instanceof Socket && (this.#open.get(endsOf(socket))?.answering ?? 0) > 0;
  }

  #asked({ socket }: IncomingMessage, response: ServerResponse): void {
    const connection = this.#open.get(endsOf(socket));
    if (connection === undefined) return;
    connection.requests++;
    if (connection.answering++ === 0) {
      connection.startTimer(this.#options.clock, this.#options.answerTimeoutMs, () =>
        this.#refuse(connection, 'answer_timeout', 'the answer was not taken'),
      );
    }
    const isLast = connection.requests >= this.#options.maxRequests;
    if (isLast || this.#isClosing) response.setHeader('connection', 'close');
    response.on('close', () => {
      if (--connection.answering > 0) return;
      if (this.#isClosing) connection.socket.destroySoon();
      else this.#giveTime(connection);
    });
  }

  #failed(error: Error, socket: TLSSocket): void {
    const connection = this.#open.get(endsOf(socket));
    socket.destroy();
    if (connection === undefined) return;
    const left = 'code' in error && error.code === 'ECONNRESET';
    this.#refuse(connection, left ? 'peer_gone' : 'tls_error', messageOf(error));
  }

  #refuse(connection: Connection, reason: Refusal, why: string): undefined {
    connection.socket.destroy();
    this.#notes.note(reason, why, { address: connection.address });
  }
}

class Connection {
  readonly socket: Socket;
  readonly address: string;
  readonly network: string;
  readonly ends: string;
  requests = 0;
  answering = 0;
  timer: Timer | undefined;

  constructor(socket: Socket, remoteAddress: string) {
    this.socket = socket;
    this.address = plainAddress(remoteAddress);
    this.network = sourceNetwork(remoteAddress);
    this.ends = endsOf(socket);
  }

  startTimer(clock: Clock, delayMs: number, fire: () => void): void {
    this.timer?.cancel();
    if (!this.socket.destroyed) this.timer = clock.setTimer(delayMs, fire);
  }
}

/** What tells a connection from all others that are open; the same for a socket and the TLS over it. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** `close` follows, and says all there is to say. */
function ignoreError(): void {}
