import { TrustplaneError } from '../spiffe/index.ts';
import type { BytesMethod } from './quick-host.ts';

/** gRPC's own path for asking how a server is. */
export const HEALTH_CHECK = '/grpc.health.v1.Health/Check';

/** HealthCheckResponse with status SERVING or NOT_SERVING. */
const SERVING = Buffer.from([0x08, 1]);
const NOT_SERVING = Buffer.from([0x08, 2]);
/** Field 1 of HealthCheckRequest, a text. */
const SERVICE_TAG = 0x0a;
const MAX_NAME = 127;

/**
 * grpc.health.v1.Health/Check of bytes, of the server as a whole and of `service` (fully qualified),
 * which are as `isServing` says. Others are ERR_HEALTH_SERVICE.
 */
export function createQuickHealth(service: string, isServing: () => boolean): BytesMethod {
  return (request) => {
    const name = nameOf(request);
    if (name === '' || name === service) return isServing() ? SERVING : NOT_SERVING;
    throw new TrustplaneError(
      'ERR_HEALTH_SERVICE',
      `no service named ${JSON.stringify(name)} here`,
    );
  };
}

/** The one field that a request has; undefined when it is another message. */
function nameOf(request: Buffer): string | undefined {
  if (request.length === 0) return '';
  const [tag, length = 0] = request;
  if (tag !== SERVICE_TAG || length > MAX_NAME || request.length !== length + 2) return undefined;
  return request.toString('utf8', 2);
}
