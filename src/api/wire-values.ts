import {
  type ErrorCode,
  messageOf,
  SpiffeId,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { statusOf, toServiceError } from '../wire/index.ts';

/** spire.api.types.SPIFFEID as it was decoded: what was not on the wire is undefined. */
export interface WireSpiffeId {
  readonly trust_domain?: string;
  readonly path?: string;
}

/** spire.api.types.Selector */
export interface WireSelector {
  readonly type?: string;
  readonly value?: string;
}

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

/** @throws TrustplaneError with `code`, naming the field */
export function parseSpiffeId(
  id: WireSpiffeId | null | undefined,
  field: string,
  code: ErrorCode,
): SpiffeId {
  if (id === undefined || id === null) {
    throw new TrustplaneError(code, `${field}: expected a SPIFFE ID; got none`);
  }
  try {
    return SpiffeId.of(TrustDomain.parse(id.trust_domain ?? ''), id.path ?? '');
  } catch (error) {
    throw new TrustplaneError(code, `${field}: ${messageOf(error)}`, { cause: error });
  }
}

export function buildSpiffeId(id: SpiffeId): WireSpiffeId {
  return { trust_domain: id.trustDomain.name, path: id.path };
}

/** Milliseconds since the epoch as an int64 of seconds; 0 for undefined. */
export function buildSeconds(instant: number | undefined): string {
  return String(Math.floor((instant ?? 0) / 1000));
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
