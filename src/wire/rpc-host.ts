import type { Server as Listener } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  type ConnectionInjector,
  Server,
  ServerCredentials,
  type ServerOptions,
} from '@grpc/grpc-js';
import { type Log, type Metrics, systemClock } from '../ops/index.ts';
import { type Clock, TrustplaneError } from '../spiffe/index.ts';
import { resetAllowance, unfinishedLimits } from './grpc-limits.ts';
import { type CallLimits, OpenCalls } from './open-calls.ts';
import type { GrpcService } from './protos.ts';
import { type QuickMethod, takeQuickCalls } from './quick-calls.ts';
import { UnfinishedRequests } from './unfinished-requests.ts';
import { callTimersOf } from './wire-metrics.ts';

export interface RpcHostOptions {
  readonly services: readonly GrpcService[];
  readonly grpc: ServerOptions;
  readonly calls: CallLimits;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock?: Clock;
  /** Paths of unary methods with small requests and many calls; see `takeQuickCalls`. Default: none. */
  readonly quick?: ReadonlySet<string>;
  /** Who calls is told what the clock shows, with each answer of a unary method; default false. */
  readonly saysTime?: boolean;
  /** Clients that reset all their streams at once keep their connection; default: as Node has it. */
  readonly staysThroughResets?: boolean;
}

/** Who answers on connections that were accepted, and judged, elsewhere. */
export interface Host {
  injectConnection(connection: Duplex): void;
  /** Asks the client to make another connection; answers what it has asked. Without it: see `max_connection_age`. */
  retire?(connection: Duplex): void;
  drain(graceMs: number): void;
  close(): void;
}

/** gRPC by grpc-js. */
export class RpcHost implements Host {
  readonly #calls: OpenCalls;
  readonly #server: Server;
  readonly #injector: ConnectionInjector;

  constructor(options: RpcHostOptions) {
    const { clock = systemClock } = options;
    this.#calls = new OpenCalls(
      options.log,
      options.calls,
      callTimersOf(options.metrics),
      options.saysTime === true ? () => clock.now() : undefined,
    );
    const unfinished = new UnfinishedRequests(
      { ...unfinishedLimits, ownerOf: (peer) => options.calls.ownerOf(peer) },
      clock,
    );
    this.#server = new Server({ ...options.grpc, interceptors: [unfinished.interceptor] });
    const quick = new Map<string, QuickMethod>();
    for (const service of options.services) {
      const guarded = this.#calls.guard(service);
      this.#server.addService(service.definition, guarded);
      for (const [name, method] of Object.entries(service.definition)) {
        const handler = guarded[name];
        const isQuick = options.quick?.has(method.path) === true && handler !== undefined;
        if (isQuick) quick.set(method.path, { ...method, handler });
      }
    }
    if (options.staysThroughResets === true && !allowResets(this.#server)) {
      options.log.warn({}, 'grpc-js is not as it is known; a burst of resets closes a connection');
    }
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    if (quick.size > 0 && !takeQuickCalls(this.#server, quick, unfinished)) {
      options.log.warn({}, 'grpc-js is not as it is known; all calls are answered by it');
    }
  }

  /** Serves a connection; its `remoteAddress` is what `call.getPeer()` answers. */
  injectConnection(connection: Duplex): void {
    this.#injector.injectConnection(connection);
  }

  /** Ends every stream with UNAVAILABLE, sends GOAWAY, and destroys what is left after `graceMs`. */
  drain(graceMs: number): void {
    this.#calls.endAll(new TrustplaneError('ERR_SHUTTING_DOWN', 'the server is shutting down'));
    this.#injector.drain(graceMs);
  }

  /** To be called when no connection is left. */
  close(): void {
    this.#server.forceShutdown();
  }
}

/** What grpc-js makes HTTP/2 servers with is in an undocumented place; false where it is not there. */
function allowResets(server: Server): boolean {
  const made: unknown = Reflect.get(server, 'commonServerOptions');
  if (typeof made !== 'object' || made === null) return false;
  Object.assign(made, resetAllowance);
  return true;
}

/** Accepts no more connections and drains the `hosts` of those there are; resolves when the last one is closed. */
export async function drainListener(
  listener: Listener,
  gate: { close(): void },
  hosts: readonly Host[],
  graceMs: number,
): Promise<void> {
  const lastClosed = new Promise<void>((resolve) => listener.close(() => resolve()));
  gate.close();
  for (const host of hosts) host.drain(graceMs);
  await lastClosed;
  for (const host of hosts) host.close();
}
