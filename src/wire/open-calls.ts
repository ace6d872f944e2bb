import type { EventEmitter } from 'node:events';
import type { sendUnaryData, UntypedHandleCall, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Log } from '../ops/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { peers } from './peers.ts';
import type { GrpcService } from './protos.ts';
import { toServiceError } from './status.ts';

export interface CallLimits {
  /** Calls open at one time. */
  readonly maxCalls: number;
  /** Of one user, so that none can keep out the others. */
  readonly maxCallsPerUser: number;
  /** Users whom that bound does not hold. */
  readonly trustedUsers: ReadonlySet<number>;
}

type Call = EventEmitter & { getPeer(): string };

/**
 * The calls that a server has open, and the guard around its handlers: what a handler throws, or
 * rejects with, becomes the status of that call alone.
 */
export class OpenCalls {
  readonly #log: Log;
  readonly #limits: CallLimits;
  /** With the user ID of each one's caller. */
  readonly #calls = new Map<EventEmitter, number>();
  readonly #streams = new Set<EventEmitter>();
  readonly #perUser = new Map<number, number>();
  /** One function for all calls; `this` is the call. */
  readonly #forget: (this: EventEmitter) => void;

  constructor(log: Log, limits: CallLimits) {
    this.#log = log;
    this.#limits = limits;
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
    return (call: Call, respond: sendUnaryData<unknown>) =>
      this.#run(path, admitted, [call, respond], respond);
  }

  /** @throws TrustplaneError ERR_TOO_MANY_CALLS */
  #enter(call: Call): void {
    const { maxCalls, maxCallsPerUser, trustedUsers } = this.#limits;
    const uid = peers.get(call.getPeer())?.uid ?? -1;
    const ofUser = this.#perUser.get(uid) ?? 0;
    if (this.#calls.size >= maxCalls) throw tooMany(`there are ${maxCalls} open calls`);
    if (ofUser >= maxCallsPerUser && !trustedUsers.has(uid)) {
      throw tooMany(`user ${uid} has ${ofUser} open calls`);
    }
    this.#perUser.set(uid, ofUser + 1);
    this.#calls.set(call, uid);
    call.on('cancelled', this.#forget);
  }

  /** A call says `cancelled` when its stream is closed, however it ended. */
  #leave(call: EventEmitter): void {
    const uid = this.#calls.get(call);
    if (uid === undefined) return;
    this.#calls.delete(call);
    this.#streams.delete(call);
    const left = (this.#perUser.get(uid) ?? 1) - 1;
    if (left > 0) this.#perUser.set(uid, left);
    else this.#perUser.delete(uid);
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
