import { TrustplaneError } from '../spiffe/index.ts';
import { statusOf, toServiceError } from '../wire/index.ts';

/** spire.api.types.Status */
export interface WireStatus {
  readonly code: number;
  readonly message: string;
}

export const okStatus: WireStatus = { code: 0, message: 'OK' };

/** The status of one item of a batch that failed. */
export function errorStatus(error: unknown): WireStatus {
  return { code: statusOf(error).grpc, message: toServiceError(error).message };
}

/**
 * The items of a batch or list.
 * @throws TrustplaneError ERR_API_REQUEST above `limit`
 */
export function parseBatch<T>(
  items: readonly T[] | undefined,
  limit: number,
  field: string,
): readonly T[] {
  const count = items?.length ?? 0;
  if (count <= limit) return items ?? [];
  throw new TrustplaneError('ERR_API_REQUEST', `${field}: expected at most ${limit}; got ${count}`);
}
