import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import { messageType } from '../wire/index.ts';

/**
 * The requests of the X.509 profile have no fields. Fields of later versions are skipped.
 * @throws TrustplaneError ERR_WORKLOAD_REQUEST
 */
export function checkEmptyRequest(bytes: Buffer): void {
  if (bytes.length === 0) return;
  try {
    messageType('workload.proto', 'X509SVIDRequest').decode(bytes);
  } catch (error) {
    throw new TrustplaneError(
      'ERR_WORKLOAD_REQUEST',
      `the request is not a protobuf message: ${messageOf(error)}`,
    );
  }
}
