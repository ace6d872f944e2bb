import { EventEmitter } from 'node:events';
import {
  constants,
  type Http2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { Server as NetServer } from 'node:net';
import { Metadata, type Server, status, type UntypedHandleCall } from '@grpc/grpc-js';
import type { UnfinishedRequests } from './unfinished-requests.ts';

/** A unary method whose calls are many and whose messages are small. */
export interface QuickMethod {
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (message: never) => Buffer;
  readonly handler: UntypedHandleCall;
}

/** Of one request; a larger one is reset with ENHANCE_YOUR_CALM, which clients take for RESOURCE_EXHAUSTED. */
const MAX_REQUEST_BYTES = 16_384;
/** Of one request: a proxy's have some 16 KiB, and each costs some microseconds however small it is. */
const MAX_CHUNKS = 1_024;
/** A flag for compression and four octets of length. */
const PREFIX_BYTES = 5;
const NOTHING = Buffer.alloc(0);
const HEADERS: OutgoingHttpHeaders = {
  ':status': 200,
  'content-type': 'application/grpc+proto',
  'grpc-accept-encoding': 'identity',
};
const TRAILERS: OutgoingHttpHeaders = { 'grpc-status': status.OK };
const WITH_TRAILERS = { waitForTrailers: true } as const;
const CONTENT_TYPES = new Set(['application/grpc', 'application/grpc+proto']);

type Listener = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  ...rest: unknown[]
) => unknown;

/**
 * Has the calls of some methods answered on the HTTP/2 streams themselves, at less than half of what
 * they cost through grpc-js; whatever is unusual about a call goes through grpc-js. A deadline is left
 * to the client, which resets the stream; connections with no other calls count as idle.
 *
 * The server's own listener is in an undocumented place: where it is not, this returns false and all
 * calls go through grpc-js.
 */
export function takeQuickCalls(
  server: Server,
  methods: ReadonlyMap<string, QuickMethod>,
  unfinished: Pick<UnfinishedRequests, 'watch'>,
): boolean {
  const servers: unknown = Reflect.get(server, 'http2Servers');
  const http2: unknown = servers instanceof Map ? [...servers.keys()].at(-1) : undefined;
  if (!(http2 instanceof NetServer) || http2.listenerCount('stream') !== 1) return false;
  const [usual] = http2.listeners('stream');
  if (usual === undefined) return false;
  const lane = new QuickLane(unfinished, MAX_REQUEST_BYTES);
  const choose: Listener = (stream, headers, ...rest) => {
    const method = isUsual(headers) ? methods.get(headers[':path'] ?? '') : undefined;
    if (method !== undefined) lane.serve(stream, method);
    else Reflect.apply(usual, http2, [stream, headers, ...rest]);
  };
  http2.removeAllListeners('stream');
  http2.on('stream', choose);
  return true;
}

export function isUsual(headers: IncomingHttpHeaders): boolean {
  const encoding = headers['grpc-encoding'] ?? 'identity';
  return encoding === 'identity' && CONTENT_TYPES.has(headers['content-type'] ?? '');
}

/**
 * What comes in one turn of the event loop is answered together, step by step: that keeps the code of
 * each step in the caches of the processor, which is worth a tenth of all.
 */
export class QuickLane {
  readonly #unfinished: Pick<UnfinishedRequests, 'watch'>;
  readonly #maxRequestBytes: number;
  /** Begun in this turn: nearly always they end in it. */
  #fresh: QuickExchange[] = [];
  #complete: QuickExchange[] = [];
  #isScheduled = false;

  /** A request larger than `maxRequestBytes` is reset, as said above. */
  constructor(unfinished: Pick<UnfinishedRequests, 'watch'>, maxRequestBytes: number) {
    this.#unfinished = unfinished;
    this.#maxRequestBytes = maxRequestBytes;
  }

  serve(stream: ServerHttp2Stream, method: QuickMethod): void {
    const onComplete = (exchange: QuickExchange): void => {
      this.#complete.push(exchange);
      this.#schedule();
    };
    this.#fresh.push(new QuickExchange(stream, method, this.#maxRequestBytes, onComplete));
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#endTurn());
  }

  #endTurn(): void {
    const [fresh, complete] = [this.#fresh, this.#complete];
    this.#fresh = [];
    this.#complete = [];
    this.#isScheduled = false;
    for (const exchange of fresh) {
      if (exchange.isUnfinished) this.#unfinished.watch(exchange.stream, exchange.peer, false);
    }
    for (const exchange of complete) exchange.handle();
  }
}

/** What handlers and guards use of a call. */
class QuickCall extends EventEmitter {
  readonly request: unknown;
  readonly #peer: string;
  cancelled = false;

  constructor(request: unknown, peer: string) {
    super();
    this.request = request;
    this.#peer = peer;
  }

  getPeer(): string {
    return this.#peer;
  }
}

/** One request and its answer. */
class QuickExchange {
  readonly stream: ServerHttp2Stream;
  readonly #method: QuickMethod;
  readonly #maxRequestBytes: number;
  readonly #onComplete: (exchange: QuickExchange) => void;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #hasEnded = false;
  #call: QuickCall | undefined;

  constructor(
    stream: ServerHttp2Stream,
    method: QuickMethod,
    maxRequestBytes: number,
    onComplete: (exchange: QuickExchange) => void,
  ) {
    this.stream = stream;
    this.#method = method;
    this.#maxRequestBytes = maxRequestBytes;
    this.#onComplete = onComplete;
    // A close follows.
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => this.#take(chunk));
    stream.on('end', () => this.#end());
    stream.on('close', () => this.#close());
  }

  get peer(): string {
    return peerOfSession(this.stream.session);
  }

  get isUnfinished(): boolean {
    return !this.#hasEnded && !this.stream.destroyed;
  }

  #take(chunk: Buffer): void {
    if (this.#hasEnded) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const isTooLarge = this.#bytes > this.#maxRequestBytes + PREFIX_BYTES;
    if (!isTooLarge && this.#chunks.length <= MAX_CHUNKS) return;
    this.#chunks = [];
    this.#hasEnded = true;
    this.stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  }

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#onComplete(this);
  }

  /** Once, after the request is complete. */
  handle(): void {
    if (this.stream.destroyed) return;
    const { requestDeserialize, handler } = this.#method;
    let request: unknown;
    try {
      request = requestDeserialize(messageOf(this.#chunks));
    } catch {
      return this.#fail(status.INTERNAL, 'Error deserializing request');
    }
    this.#call = new QuickCall(request, this.peer);
    const respond = (error: unknown, response: never): void => this.#respond(error, response);
    Reflect.apply(handler, undefined, [this.#call, respond]);
  }

  #respond(error: unknown, response: never): void {
    if (this.stream.destroyed || this.stream.headersSent) return;
    if (error !== null) return this.#fail(...statusOf(error));
    const { stream } = this;
    const message = this.#method.responseSerialize(response);
    const frame = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
    frame[0] = 0;
    frame.writeUInt32BE(message.length, 1);
    message.copy(frame, PREFIX_BYTES);
    stream.on('wantTrailers', () => stream.sendTrailers(TRAILERS));
    stream.respond(HEADERS, WITH_TRAILERS);
    stream.end(frame);
  }

  #fail(code: number, details: string, metadata: OutgoingHttpHeaders = {}): void {
    const trailers = { 'grpc-status': code, 'grpc-message': encodeURI(details), ...metadata };
    this.stream.respond({ ...HEADERS, ...trailers }, { endStream: true });
  }

  /** A call says `cancelled` when its stream is closed, however it ended. */
  #close(): void {
    this.#hasEnded = true;
    if (this.#call === undefined) return;
    this.#call.cancelled = true;
    this.#call.emit('cancelled', 'cancelled');
  }
}

/** The one message of a request. @throws Error when it is not one, whole and not compressed */
function messageOf(chunks: readonly Buffer[]): Buffer {
  const [first = NOTHING, ...others] = chunks;
  const body = others.length === 0 ? first : Buffer.concat(chunks);
  const length = body.length >= PREFIX_BYTES ? body.readUInt32BE(1) : -1;
  if (body[0] !== 0 || body.length !== PREFIX_BYTES + length) {
    throw new Error('the request is not one message');
  }
  return body.subarray(PREFIX_BYTES);
}

/** Of what `toServiceError` makes. */
function statusOf(error: unknown): [number, string, OutgoingHttpHeaders?] {
  if (!(error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error)) {
    return [status.UNKNOWN, 'internal error'];
  }
  const { code, details, metadata } = error;
  const headers = metadata instanceof Metadata ? metadata.toHttp2Headers() : {};
  return [Number(code), String(details), headers];
}

const peers = new WeakMap<Http2Session, string>();

/** The `remoteAddress` of the connection; asked for once, since sessions give their socket through a proxy. */
function peerOfSession(session: Http2Session | undefined): string {
  if (session === undefined) return 'unknown';
  const known = peers.get(session);
  if (known !== undefined) return known;
  const peer = session.socket.remoteAddress ?? 'unknown';
  peers.set(session, peer);
  return peer;
}
