import type { EventEmitter } from 'node:events';
import type { sendUnaryData, UntypedHandleCall, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Log } from '../ops/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { GrpcService } from './protos.ts';
import { toServiceError } from './status.ts';

/**
 * The streams that a server has open, and the guard around its handlers: what a handler throws, or
 * rejects with, becomes the status of that call alone.
 */
export class OpenCalls {
  readonly #log: Log;
  readonly #streams = new Set<EventEmitter>();
  /** One function for all streams; `this` is the stream. */
  readonly #forget: (this: EventEmitter) => void;

  constructor(log: Log) {
    this.#log = log;
    const streams = this.#streams;
    this.#forget = function forget() {
      streams.delete(this);
    };
  }

  get size(): number {
    return this.#streams.size;
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
    return (call: EventEmitter) => {
      this.#streams.add(call);
      call.on('cancelled', this.#forget);
      this.#run(path, handler, [call], (error) => call.emit('error', error));
    };
  }

  #guardUnary(path: string, handler: UntypedHandleCall): UntypedHandleCall {
    return (call: EventEmitter, respond: sendUnaryData<unknown>) =>
      this.#run(path, handler, [call, respond], respond);
  }

  #run(
    path: string,
    handler: UntypedHandleCall,
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

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}
