import type { UntypedHandleCall } from '@grpc/grpc-js';
import { TrustplaneError } from '../spiffe/index.ts';
import { type GrpcService, peerOf } from '../wire/index.ts';

type Peered = { getPeer(): string };

/**
 * The service for the process's own user and root alone: each call is refused with ERR_API_ADMIN
 * unless the kernel names one of them behind it. `uid` is the own user ID.
 */
export function requireAdmin(
  service: GrpcService,
  uid: number,
  uidOf: (call: Peered) => number = (call) => peerOf(call).uid,
): GrpcService {
  const guard =
    (handler: UntypedHandleCall): UntypedHandleCall =>
    (call: Peered, ...rest: unknown[]) => {
      const caller = uidOf(call);
      if (caller === uid || caller === 0) return Reflect.apply(handler, undefined, [call, ...rest]);
      throw new TrustplaneError(
        'ERR_API_ADMIN',
        `only user ${uid} and root are admitted; the caller is user ${caller}`,
      );
    };
  return {
    definition: service.definition,
    implementation: Object.fromEntries(
      Object.entries(service.implementation).map(([name, handler]) => [name, guard(handler)]),
    ),
  };
}
