import type { Metadata } from '@grpc/grpc-js';
import { TrustplaneError } from '../spiffe/index.ts';

const NAME = 'workload.spiffe.io';

/**
 * Every Workload API call carries the header once, with exactly this value (Workload Endpoint §3, §6):
 * a server-side request forgery can't set it.
 * @throws TrustplaneError ERR_WORKLOAD_HEADER
 */
export function requireSecurityHeader(metadata: Metadata): void {
  const values = metadata.get(NAME);
  if (values.length === 1 && values[0] === 'true') return;
  throw new TrustplaneError(
    'ERR_WORKLOAD_HEADER',
    `security header missing from request: "${NAME}: true" is to stand there once; got ${values.length === 0 ? 'none' : 'another value'}`,
  );
}
