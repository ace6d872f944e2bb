import { constants, type ServerHttp2Stream } from 'node:http2';
import { Duplex } from 'node:stream';
import { ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js';
import type { Clock, Timer } from '../spiffe/index.ts';
import { MessageBoundary } from './message-boundary.ts';
import { Room } from './room.ts';

/** A call whose request has yet to come, with the little that grpc-js keeps of it. */
const CALL_BYTES = 8_192;
/** A chunk is a slice of what was read from the socket at once, and keeps all of that from being freed. */
const CHUNK_BYTES = 65_536;

export interface UnfinishedLimits {
  /** What all requests that are not complete may hold, in bytes. */
  readonly maxBytes: number;
  /** Those of one owner. */
  readonly maxBytesPerOwner: number;
  /** A request, or on a stream a message, is complete by then, or its call is reset. */
  readonly timeoutMs: number;
  /** As in `CallLimits`. */
  ownerOf(peer: string): string | undefined;
}

/**
 * Bounds what the server holds of requests before a handler sees them, from their headers on. A call
 * that goes beyond is reset with ENHANCE_YOUR_CALM, which clients take for RESOURCE_EXHAUSTED.
 */
export class UnfinishedRequests {
  readonly #limits: UnfinishedLimits;
  readonly #clock: Clock;
  readonly #room: Room<string | undefined>;

  constructor(limits: UnfinishedLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#room = new Room({ max: limits.maxBytes, maxPerOwner: limits.maxBytesPerOwner });
  }

  readonly interceptor: ServerInterceptor = (method, call) => {
    const stream: unknown = Reflect.get(call, 'stream');
    // grpc-js keeps it in an undocumented place: without it there is no bound, so no call.
    if (isHttp2Stream(stream)) this.watch(stream, call.getPeer(), method.requestStream);
    else call.sendStatus({ code: status.INTERNAL, details: 'internal error' });
    return new ServerInterceptingCall(call);
  };

  /** Holds what comes of a request from now on to the bounds. */
  watch(stream: ServerHttp2Stream, peer: string, isStream: boolean): void {
    const owner = this.#limits.ownerOf(peer);
    const account = new Account(this.#room, owner);
    const reset = (): void => stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    let timer: Timer | undefined;
    const complete = (bytes: number): void => {
      timer?.cancel();
      timer = undefined;
      account.set(bytes);
    };
    const wait = (bytes: number): void => {
      if (!account.hasRoom) return reset();
      timer ??= this.#clock.setTimer(this.#limits.timeoutMs, reset);
      account.set(account.bytes + bytes);
    };
    stream.on('close', () => complete(0));
    if (isStream) watchMessages(stream, wait, complete);
    else watchMessage(stream, wait, complete);
  }
}

type Take = (bytes: number) => void;

/** A message of a stream is held from its first chunk to its last. */
function watchMessages(stream: ServerHttp2Stream, wait: Take, complete: Take): void {
  const boundary = new MessageBoundary();
  stream.on('data', (chunk: Buffer) => {
    boundary.take(chunk);
    if (boundary.isReached) complete(0);
    else wait(CHUNK_BYTES);
  });
}

/** A single request is complete with the end of the stream; its handler keeps it until the answer. */
function watchMessage(stream: ServerHttp2Stream, wait: Take, complete: Take): void {
  let received = 0;
  wait(CALL_BYTES);
  stream.on('data', (chunk: Buffer) => {
    received += chunk.length;
    wait(CHUNK_BYTES);
  });
  stream.on('end', () => complete(received));
}

/** What one call holds, as its owner's. */
class Account {
  readonly #room: Room<string | undefined>;
  readonly #owner: string | undefined;
  bytes = 0;

  constructor(room: Room<string | undefined>, owner: string | undefined) {
    this.#room = room;
    this.#owner = owner;
  }

  get hasRoom(): boolean {
    if (this.#room.isFull) return false;
    return this.#owner === undefined || this.#room.hasRoomFor(this.#owner);
  }

  set(bytes: number): void {
    if (bytes === this.bytes) return;
    this.#room.enter(this.#owner, bytes);
    this.#room.leave(this.#owner, this.bytes);
    this.bytes = bytes;
  }
}

function isHttp2Stream(stream: unknown): stream is ServerHttp2Stream {
  return stream instanceof Duplex && 'rstCode' in stream;
}
