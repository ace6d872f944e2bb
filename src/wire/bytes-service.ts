import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Log, Metrics } from '../ops/index.ts';
import type { Clock } from '../spiffe/index.ts';
import { bytesServerOptions } from './grpc-limits.ts';
import type { CallLimits } from './open-calls.ts';
import type { GrpcService } from './protos.ts';
import { type BytesMethod, QuickHost } from './quick-host.ts';
import { type Host, RpcHost } from './rpc-host.ts';

/** Who speaks gRPC: Node's http2 with our own framing, at half the cost, or grpc-js. */
export type BytesTransport = 'quick' | 'grpc-js';

/** Unary methods from bytes to bytes, and how they are served. */
export interface BytesService {
  readonly transport: BytesTransport;
  /** By path, such as `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, BytesMethod>;
  /** What grpc-js serves beside them: health, reflection. */
  readonly services?: readonly GrpcService[];
  readonly maxRequestBytes: number;
}

export interface BytesHostOptions {
  readonly calls: CallLimits;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

/** Serves the methods on connections that were accepted elsewhere. */
export function createBytesHost(served: BytesService, options: BytesHostOptions): Host {
  const { methods, services = [], maxRequestBytes, transport } = served;
  if (transport === 'quick') return new QuickHost({ methods, maxRequestBytes, ...options });
  return new RpcHost({
    services: [...[...methods].map(asService), ...services],
    grpc: { ...bytesServerOptions, 'grpc.max_receive_message_length': maxRequestBytes },
    staysThroughResets: true,
    ...options,
  });
}

function asService([path, run]: [string, BytesMethod]): GrpcService {
  const name = path.slice(path.lastIndexOf('/') + 1);
  const definition: ServiceDefinition = {
    [name]: {
      path,
      originalName: name,
      requestStream: false,
      responseStream: false,
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    },
  };
  const implementation: UntypedServiceImplementation = {
    [name]: (
      call: { readonly request: Buffer },
      respond: (error: null, answer: Buffer) => void,
    ): void => respond(null, run(call.request)),
  };
  return { definition, implementation };
}

function same(bytes: Buffer): Buffer {
  return bytes;
}
