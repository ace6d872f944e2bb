import { toUSVString } from 'node:util';
import { status as grpc, Metadata } from '@grpc/grpc-js';
import { type ErrorCategory, TrustplaneError } from '../spiffe/index.ts';

/** How a category looks to a gRPC client, an HTTP client and a shell. */
export interface Status {
  readonly grpc: grpc;
  readonly http: number;
  readonly exit: number;
}

/** Carries the stable error code beside the gRPC status. */
export const ERROR_CODE_KEY = 'trustplane-error-code';

/** Characters of an error message that go on the wire. */
const MAX_DETAILS = 1024;

/** The one table. gRPC and HTTP as google.rpc.Code pairs them. */
const statuses: Readonly<Record<ErrorCategory, Status>> = {
  internal: { grpc: grpc.INTERNAL, http: 500, exit: 1 },
  invalid: { grpc: grpc.INVALID_ARGUMENT, http: 400, exit: 2 },
  'not-found': { grpc: grpc.NOT_FOUND, http: 404, exit: 3 },
  'already-exists': { grpc: grpc.ALREADY_EXISTS, http: 409, exit: 4 },
  permission: { grpc: grpc.PERMISSION_DENIED, http: 403, exit: 5 },
  unauthenticated: { grpc: grpc.UNAUTHENTICATED, http: 401, exit: 6 },
  precondition: { grpc: grpc.FAILED_PRECONDITION, http: 400, exit: 7 },
  aborted: { grpc: grpc.ABORTED, http: 409, exit: 8 },
  exhausted: { grpc: grpc.RESOURCE_EXHAUSTED, http: 429, exit: 9 },
  unavailable: { grpc: grpc.UNAVAILABLE, http: 503, exit: 10 },
  unimplemented: { grpc: grpc.UNIMPLEMENTED, http: 501, exit: 11 },
  'data-loss': { grpc: grpc.DATA_LOSS, http: 500, exit: 12 },
};

/** The status of any thrown value; what is not a TrustplaneError is a defect, hence internal. */
export function statusOf(error: unknown): Status {
  return statuses[error instanceof TrustplaneError ? error.category : 'internal'];
}

/** The exit code of a command that failed with `error`. */
export function exitCodeOf(error: unknown): number {
  return statusOf(error).exit;
}

/** An error as grpc-js sends it, for `callback(...)` and `call.emit('error', ...)`. */
export interface SentError extends Error {
  readonly code: grpc;
  readonly details: string;
  readonly metadata: Metadata;
}

/**
 * What the peer is told of `error`: status, message and stable code of a TrustplaneError; of
 * anything else only that it happened. Causes stay here, for the log.
 */
export function toServiceError(error: unknown): SentError {
  const known = error instanceof TrustplaneError;
  const details = known ? fitDetails(error.message) : 'internal error';
  const metadata = new Metadata();
  metadata.set(ERROR_CODE_KEY, known ? error.code : 'ERR_INTERNAL');
  return Object.assign(new Error(details), { code: statusOf(error).grpc, details, metadata });
}

/** Trailers travel in a header block: well-formed, since grpc-js percent-encodes them, and bounded. */
function fitDetails(message: string): string {
  const text = message.length > MAX_DETAILS ? `${message.slice(0, MAX_DETAILS)}…` : message;
  return toUSVString(text);
}
