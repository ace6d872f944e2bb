import { type ServiceError, status } from '@grpc/grpc-js';
import { type ErrorCode, errorCodes, TrustplaneError } from '../spiffe/index.ts';
import { ERROR_CODE_KEY } from '../wire/index.ts';

/** Codes for answers that carry none of trustplane's, as those of a SPIRE server. */
const codesByStatus: Readonly<Partial<Record<status, ErrorCode>>> = {
  [status.INVALID_ARGUMENT]: 'ERR_REMOTE_INVALID',
  [status.NOT_FOUND]: 'ERR_REMOTE_NOT_FOUND',
  [status.ALREADY_EXISTS]: 'ERR_REMOTE_EXISTS',
  [status.PERMISSION_DENIED]: 'ERR_REMOTE_PERMISSION',
  [status.FAILED_PRECONDITION]: 'ERR_REMOTE_PRECONDITION',
  [status.UNAVAILABLE]: 'ERR_UNREACHABLE',
  [status.DEADLINE_EXCEEDED]: 'ERR_UNREACHABLE',
  [status.UNIMPLEMENTED]: 'ERR_REMOTE_UNIMPLEMENTED',
};

/** Whether it is what grpc-js says of a call that failed. */
export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error;
}

/** The error behind a failed call to the server at `address`, with the server's own stable code where it sent one. */
export function remoteError(error: ServiceError, address: string): TrustplaneError {
  const sent = error.metadata.get(ERROR_CODE_KEY)[0];
  if (typeof sent === 'string' && isErrorCode(sent))
    return new TrustplaneError(sent, error.details, { cause: error });
  const code = codesByStatus[error.code] ?? 'ERR_REMOTE';
  if (code === 'ERR_REMOTE_UNIMPLEMENTED') return unimplemented(error, address);
  if (code !== 'ERR_UNREACHABLE') return new TrustplaneError(code, error.details, { cause: error });
  return unreachable(error, address);
}

function unimplemented(error: ServiceError, address: string): TrustplaneError {
  const text = `${error.details}: ${address} is another socket than the command is for, or of an earlier release`;
  return new TrustplaneError('ERR_REMOTE_UNIMPLEMENTED', text, { cause: error });
}

/** The connect's errno is in grpc-js's text alone. */
function unreachable(error: ServiceError, address: string): TrustplaneError {
  if (error.details.includes('connect EACCES')) {
    const text = `this user may not connect to ${address}: the permissions of the socket or of a folder above it forbid it (an admin socket is open to root and the user that runs trustplane only)`;
    return new TrustplaneError('ERR_REMOTE_PERMISSION', text, { cause: error });
  }
  const text = `nothing answers at ${address}; is trustplane running with this socket? (--admin-socket and --socket name others)`;
  return new TrustplaneError('ERR_UNREACHABLE', text, { cause: error });
}

/** The error of one item of a batch. */
export function itemError(code: number, message: string): TrustplaneError {
  const known: Readonly<Record<number, ErrorCode | undefined>> = codesByStatus;
  return new TrustplaneError(known[code] ?? 'ERR_REMOTE', message);
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text);
}
