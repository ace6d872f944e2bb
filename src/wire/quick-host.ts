import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { status } from '@grpc/grpc-js';
import { systemClock } from '../ops/index.ts';
import type { Clock, Timer } from '../spiffe/index.ts';
import { unfinishedLimits } from './grpc-limits.ts';
import { isUsual, QuickLane, type QuickMethod } from './quick-calls.ts';
import { UnfinishedRequests } from './unfinished-requests.ts';

/** Bytes of a request → bytes of its answer, at once. Must not throw. */
export type BytesMethod = (request: Buffer) => Buffer;

export interface QuickHostOptions {
  /** By path, such as `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, BytesMethod>;
  readonly maxRequestBytes: number;
  /** See `CallLimits.ownerOf`. */
  ownerOf(peer: string): string | undefined;
  readonly clock?: Clock;
}

/**
 * Clients that give up on calls reset their streams: at 200 ms a stall has them reset all they have
 * open. Node closes a connection after about 1,100 of them unless it is told otherwise.
 */
const RESETS = { streamResetBurst: 100_000, streamResetRate: 20_000 } as const;
const SETTINGS = { maxConcurrentStreams: 1_000, enablePush: false } as const;
const MAX_SESSION_MEMORY_MB = 64;
const UNIMPLEMENTED = {
  ':status': 200,
  'content-type': 'application/grpc',
  'grpc-status': status.UNIMPLEMENTED,
  'grpc-message': 'there is no such method here',
};

/** A few unary methods of bytes on connections that were accepted elsewhere, without grpc-js. */
export class QuickHost {
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #lane: QuickLane;
  readonly #methods: ReadonlyMap<string, QuickMethod>;
  readonly #clock: Clock;
  #destruction: Timer | undefined;

  constructor(options: QuickHostOptions) {
    const { clock = systemClock, maxRequestBytes } = options;
    this.#clock = clock;
    this.#methods = new Map([...options.methods].map(([path, run]) => [path, quickMethod(run)]));
    const limits = { ...unfinishedLimits, ownerOf: (peer: string) => options.ownerOf(peer) };
    this.#lane = new QuickLane(new UnfinishedRequests(limits, clock), maxRequestBytes);
    this.#server = createServer({
      ...RESETS,
      settings: SETTINGS,
      maxSessionMemory: MAX_SESSION_MEMORY_MB,
    });
    this.#server.on('session', (session) => this.#keep(session));
    this.#server.on('stream', (stream, headers) => this.#serve(stream, headers));
    // A connection that breaks closes its session.
    this.#server.on('sessionError', () => {});
  }

  injectConnection(connection: Duplex): void {
    this.#server.emit('connection', connection);
  }

  /** Sends GOAWAY; destroys what is left after `graceMs`. */
  drain(graceMs: number): void {
    for (const session of this.#sessions) session.close();
    this.#destruction = this.#clock.setTimer(graceMs, () => {
      for (const session of this.#sessions) session.destroy();
    });
  }

  /** To be called when no connection is left. */
  close(): void {
    this.#destruction?.cancel();
    this.#server.close();
  }

  #keep(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.on('close', () => this.#sessions.delete(session));
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const method = isUsual(headers) ? this.#methods.get(headers[':path'] ?? '') : undefined;
    if (method !== undefined) return this.#lane.serve(stream, method);
    stream.on('error', () => {});
    stream.respond(UNIMPLEMENTED, { endStream: true });
    stream.resume();
  }
}

function quickMethod(run: BytesMethod): QuickMethod {
  const handler = (call: { request: Buffer }, respond: (error: null, answer: Buffer) => void) =>
    respond(null, run(call.request));
  return { requestDeserialize: same, responseSerialize: same, handler };
}

function same(bytes: Buffer): Buffer {
  return bytes;
}
