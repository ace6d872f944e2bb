import {
  createServer,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { status } from '@grpc/grpc-js';
import { systemClock } from '../ops/index.ts';
import type { Clock, Timer } from '../spiffe/index.ts';
import { resetAllowance, unfinishedLimits } from './grpc-limits.ts';
import type { CallLimits } from './open-calls.ts';
import { isUsual, QuickLane, type QuickMethod } from './quick-calls.ts';
import { QuickSession } from './quick-session.ts';
import { Room } from './room.ts';
import { toServiceError } from './status.ts';
import { UnfinishedRequests } from './unfinished-requests.ts';

/** Bytes of a request → bytes of its answer, at once. What it throws becomes the status of that call. */
export type BytesMethod = (request: Buffer) => Buffer;

export interface QuickHostOptions {
  /** By path, such as `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, BytesMethod>;
  readonly maxRequestBytes: number;
  readonly calls: CallLimits;
  readonly clock?: Clock;
}

const SETTINGS = { maxConcurrentStreams: 1_000, enablePush: false } as const;
const MAX_SESSION_MEMORY_MB = 64;
/** A call that is still open after two of these is not read by its client, which is cut off. */
const LOOK_EVERY_MS = 10_000;
const UNIMPLEMENTED = {
  ':status': 200,
  'content-type': 'application/grpc',
  'grpc-status': status.UNIMPLEMENTED,
  'grpc-message': 'there is no such method here',
};
const TOO_MANY = {
  ...UNIMPLEMENTED,
  'grpc-status': status.RESOURCE_EXHAUSTED,
  'grpc-message': 'too many calls are open; end some first',
};

/** A few unary methods of bytes on connections that were accepted elsewhere, without grpc-js. */
export class QuickHost {
  readonly #server: Http2Server;
  readonly #sessions = new Map<Http2Session, QuickSession>();
  readonly #byConnection = new WeakMap<Duplex, ServerHttp2Session>();
  readonly #lane: QuickLane;
  readonly #methods: ReadonlyMap<string, QuickMethod>;
  readonly #calls: CallLimits;
  readonly #room: Room<string | undefined>;
  readonly #clock: Clock;
  #looking: Timer | undefined;
  #destruction: Timer | undefined;

  constructor(options: QuickHostOptions) {
    const { clock = systemClock, maxRequestBytes, calls } = options;
    this.#clock = clock;
    this.#calls = calls;
    this.#room = new Room({ max: calls.maxCalls, maxPerOwner: calls.maxCallsPerOwner });
    this.#methods = new Map([...options.methods].map(([path, run]) => [path, quickMethod(run)]));
    const limits = { ...unfinishedLimits, ownerOf: (peer: string) => calls.ownerOf(peer) };
    this.#lane = new QuickLane(new UnfinishedRequests(limits, clock), maxRequestBytes);
    this.#server = createServer({
      ...resetAllowance,
      settings: SETTINGS,
      maxSessionMemory: MAX_SESSION_MEMORY_MB,
    });
    this.#server.on('session', (session) => this.#keep(session));
    this.#server.on('stream', (stream, headers) => this.#serve(stream, headers));
    // A connection that breaks closes its session.
    this.#server.on('sessionError', () => {});
  }

  injectConnection(connection: Duplex): void {
    // A session says of its connection only through a proxy; it is made at once.
    this.#server.once('session', (session) => this.#byConnection.set(connection, session));
    this.#server.emit('connection', connection);
  }

  retire(connection: Duplex): void {
    this.#byConnection.get(connection)?.close();
  }

  /** Sends GOAWAY; destroys what is left after `graceMs`. */
  drain(graceMs: number): void {
    for (const session of this.#sessions.keys()) session.close();
    this.#destruction = this.#clock.setTimer(graceMs, () => {
      for (const session of this.#sessions.keys()) session.destroy();
    });
  }

  /** To be called when no connection is left. */
  close(): void {
    this.#destruction?.cancel();
    this.#looking?.cancel();
    this.#server.close();
  }

  #keep(session: ServerHttp2Session): void {
    const owner = this.#calls.ownerOf(session.socket.remoteAddress ?? '');
    const kept = new QuickSession(owner, this.#room);
    this.#sessions.set(session, kept);
    session.on('close', () => this.#sessions.delete(session));
    this.#looking ??= this.#clock.setTimer(LOOK_EVERY_MS, () => this.#look());
  }

  /** Who asks and does not read what is answered holds no more than it got in this time. */
  #look(): void {
    for (const [session, kept] of this.#sessions) if (kept.isStuck()) session.destroy();
    const isNeeded = this.#sessions.size > 0;
    this.#looking = isNeeded ? this.#clock.setTimer(LOOK_EVERY_MS, () => this.#look()) : undefined;
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const { session } = stream;
    const kept = session === undefined ? undefined : this.#sessions.get(session);
    if (kept?.enter(stream) !== true) return refuse(stream, TOO_MANY);
    const method = isUsual(headers) ? this.#methods.get(headers[':path'] ?? '') : undefined;
    if (method === undefined) return refuse(stream, UNIMPLEMENTED);
    this.#lane.serve(stream, method);
  }
}

function refuse(stream: ServerHttp2Stream, answer: typeof UNIMPLEMENTED): void {
  stream.on('error', () => {});
  stream.respond(answer, { endStream: true });
  // What is left of the request is not waited for: nothing bounds how many are refused.
  stream.close();
}

function quickMethod(run: BytesMethod): QuickMethod {
  const handler = (
    { request }: { readonly request: Buffer },
    respond: (error: Error | null, answer?: Buffer) => void,
  ): void => {
    let answer: Buffer;
    try {
      answer = run(request);
    } catch (error) {
      return respond(toServiceError(error));
    }
    respond(null, answer);
  };
  return { requestDeserialize: same, responseSerialize: same, handler };
}

function same(bytes: Buffer): Buffer {
  return bytes;
}
