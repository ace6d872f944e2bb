import { createHealth, createReflection, type GrpcService } from '../wire/index.ts';
import type { Process, ServedService } from './process.ts';

export type { ServedService } from './process.ts';

const HEALTH = 'grpc/health/v1/health.proto';

/** The services with gRPC's own beside them: health, which is that of the process for each of them, and reflection. */
export function withHealth(
  served: readonly ServedService[],
  { readiness }: Pick<Process, 'readiness'>,
): readonly GrpcService[] {
  const services = served.map(({ service }) => service);
  const health = createHealth(services.map(nameOf));
  readiness.watch((isReady) => health.setAll(isReady ? 'SERVING' : 'NOT_SERVING'));
  const files = new Set([...served.map(({ file }) => file), HEALTH]);
  return [...services, health.service, ...createReflection([...files])];
}

/** Fully qualified. */
function nameOf({ definition }: GrpcService): string {
  const [method] = Object.values(definition);
  return method?.path.split('/')[1] ?? '';
}
