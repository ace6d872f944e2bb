import type { EventEmitter } from 'node:events';
import {
  type sendUnaryData,
  status,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Log } from '../ops/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { GrpcService } from './protos.ts';
import { Room } from './room.ts';
import { ServerTime } from './server-time.ts';
import { toServiceError } from './status.ts';
import type { CallTimer } from './wire-metrics.ts';

export interface CallLimits {
  /** Calls open at one time. */
  readonly maxCalls: number;
  /** Of one owner, so that none can keep out the others. */
  readonly maxCallsPerOwner: number;
  /** Who a call counts for, such as `user 1000`, by its `getPeer()`; undefined is not held to that bound. */
  ownerOf(peer: string): string | undefined;
}

type Call = EventEmitter & { getPeer(): string };

/**
 * The calls that a server has open, and the guard around its handlers: what a handler throws, or
 * rejects with, becomes the status of that call alone.
 */
export class OpenCalls {
  readonly #log: Log;
  readonly #timerOf: (path: string) => CallTimer;
  readonly #time: ServerTime | undefined;
  readonly #limits: CallLimits;
  readonly #room: Room<string | undefined>;
  readonly #owners = new Map<EventEmitter, string | undefined>();
  readonly #streams = new Set<EventEmitter>();
  /** One function for all calls; `this` is the call. */
  readonly #forget: (this: EventEmitter) => void;

  /**
   * @param timerOf for each method, by its path
   * @param now the clock that those who call are told of with each answer; default: they are not
   */
  constructor(
    log: Log,
    limits: CallLimits,
    timerOf: (path: string) => CallTimer,
    now?: () => number,
  ) {
    this.#log = log;
    this.#timerOf = timerOf;
    this.#time = now && new ServerTime(now);
    this.#limits = limits;
    this.#room = new Room({ max: limits.maxCalls, maxPerOwner: limits.maxCallsPerOwner });
    const leave = (call: EventEmitter): void => this.#leave(call);
    this.#forget = function forget() {
      leave(this);
    };
  }

  /** The service's handlers, guarded; its streams are known here while they are open. */
  guard(service: GrpcService): UntypedServiceImplementation {
    const guarded: UntypedServiceImplementation = {};
    for (const [name, method] of Object.entries(service.definition)) {
      const { implementation } = service;
      const unbound = implementation[name] ?? implementation[method.originalName ?? ''];
      if (unbound === undefined) continue;
      const handler = unbound.bind(implementation);
      guarded[name] = method.responseStream
        ? this.#guardStream(method.path, handler)
        : this.#guardUnary(method.path, handler);
    }
    return guarded;
  }

  /** Ends every stream; what was written before is sent before. */
  endAll(reason: TrustplaneError): void {
    for (const stream of this.#streams) stream.emit('error', toServiceError(reason));
  }

  #guardStream(path: string, handler: UntypedHandleCall): UntypedHandleCall {
    const admitted = (call: Call): unknown => {
      this.#enter(call);
      this.#streams.add(call);
      return Reflect.apply(handler, undefined, [call]);
    };
    return (call: Call) => this.#run(path, admitted, [call], (error) => call.emit('error', error));
  }

  #guardUnary(path: string, handler: UntypedHandleCall): UntypedHandleCall {
    const admitted = (call: Call, respond: sendUnaryData<unknown>): unknown => {
      this.#enter(call);
      return Reflect.apply(handler, undefined, [call, respond]);
    };
    const time = this.#timerOf(path);
    return (call: Call, respond: sendUnaryData<unknown>) => {
      const startedAt = performance.now();
      const answer: typeof respond = (error, value, trailers, flags) => {
        time(
          error === null ? status.OK : (error.code ?? status.UNKNOWN),
          (performance.now() - startedAt) / 1_000,
        );
        const timed = error === null ? this.#time?.within(trailers) : undefined;
        respond(error, value, timed ?? trailers, flags);
      };
      this.#run(path, admitted, [call, answer], answer);
    };
  }

  /** @throws TrustplaneError ERR_TOO_MANY_CALLS */
  #enter(call: Call): void {
    const owner = this.#limits.ownerOf(call.getPeer());
    if (this.#room.isFull) throw tooMany(`there are ${this.#limits.maxCalls} open calls`);
    if (owner !== undefined && !this.#room.hasRoomFor(owner)) {
      throw tooMany(`${owner} has ${this.#room.of(owner)} open calls`);
    }
    this.#room.enter(owner);
    this.#owners.set(call, owner);
    call.on('cancelled', this.#forget);
  }

  /** A call says `cancelled` when its stream is closed, however it ended. */
  #leave(call: EventEmitter): void {
    const owner = this.#owners.get(call);
    if (!this.#owners.delete(call)) return;
    this.#streams.delete(call);
    this.#room.leave(owner);
  }

  #run(
    path: string,
    handler: (...args: never[]) => unknown,
    args: unknown[],
    fail: (error: Error) => void,
  ): void {
    const failed = (error: unknown): void => {
      if (!(error instanceof TrustplaneError)) {
        this.#log.error(
          { path, error: messageOf(error), stack: stackOf(error) },
          'a handler failed',
        );
      }
      fail(toServiceError(error));
    };
    try {
      const result: unknown = Reflect.apply(handler, undefined, args);
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}

function tooMany(why: string): TrustplaneError {
  return new TrustplaneError('ERR_TOO_MANY_CALLS', `${why}, the most allowed; end some first`);
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}
