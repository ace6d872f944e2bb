import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { TrustplaneError } from '../spiffe/index.ts';
import { type GrpcService, loadService } from './protos.ts';

export type ServingStatus = 'SERVING' | 'NOT_SERVING';

interface CheckRequest {
  readonly service?: string;
}

interface CheckResponse {
  readonly status: ServingStatus | 'SERVICE_UNKNOWN';
}

type Watcher = ServerWritableStream<CheckRequest, CheckResponse>;

/** grpc.health.v1.Health, with the status of each service ('' for the server as a whole). */
export interface Health {
  readonly service: GrpcService;
  setStatus(service: string, status: ServingStatus): void;
  /** Of every service and of the whole. */
  setAll(status: ServingStatus): void;
}

/** Health of `services` (fully qualified names) and of the whole, all NOT_SERVING until they are set. */
export function createHealth(services: readonly string[]): Health {
  const statuses = new Map<string, ServingStatus>();
  for (const name of ['', ...services]) statuses.set(name, 'NOT_SERVING');
  const watchers = new Set<Watcher>();
  const currentOf = (name: string): CheckResponse => ({
    status: statuses.get(name) ?? 'SERVICE_UNKNOWN',
  });

  function setStatus(service: string, status: ServingStatus): void {
    if (statuses.get(service) === status) return;
    statuses.set(service, status);
    for (const call of watchers) {
      if ((call.request.service ?? '') === service) call.write(currentOf(service));
    }
  }

  return {
    service: {
      definition: loadService('grpc/health/v1/health.proto', 'grpc.health.v1.Health'),
      implementation: {
        Check(
          call: ServerUnaryCall<CheckRequest, CheckResponse>,
          respond: sendUnaryData<CheckResponse>,
        ) {
          respond(null, { status: checked(statuses, call.request.service ?? '') });
        },
        Watch(call: Watcher) {
          watchers.add(call);
          call.on('cancelled', () => watchers.delete(call));
          call.write(currentOf(call.request.service ?? ''));
        },
      },
    },
    setStatus,
    setAll(status) {
      for (const service of statuses.keys()) setStatus(service, status);
    },
  };
}

function checked(statuses: ReadonlyMap<string, ServingStatus>, name: string): ServingStatus {
  const status = statuses.get(name);
  if (status !== undefined) return status;
  throw new TrustplaneError('ERR_HEALTH_SERVICE', `no service named ${JSON.stringify(name)} here`);
}
