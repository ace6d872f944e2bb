import { type ServiceError, status } from '@grpc/grpc-js';
import {
  type ErrorCategory,
  type ErrorCode,
  errorCodes,
  messageOf,
  TrustplaneError,
} from '../spiffe/index.ts';
import { ERROR_CODE_KEY, messageType, strictBytes } from '../wire/index.ts';

const STATUS_KEY = 'grpc-status-details-bin';
const DETAILS = 'spire.api.types.PermissionDeniedDetails';

/** spire.api.types.PermissionDeniedDetails.Reason */
const codesByReason: Readonly<Record<number, ErrorCode | undefined>> = {
  1: 'ERR_AGENT_EXPIRED',
  2: 'ERR_AGENT_NOT_ATTESTED',
  3: 'ERR_AGENT_NOT_ACTIVE',
  4: 'ERR_AGENT_BANNED',
  5: 'ERR_AGENT_MUST_REATTEST',
};

const lost: ReadonlySet<ErrorCode> = new Set([
  'ERR_AGENT_EXPIRED',
  'ERR_AGENT_NOT_ATTESTED',
  'ERR_AGENT_NOT_ACTIVE',
  'ERR_AGENT_MUST_REATTEST',
]);

/** Nothing that the agent has or proves is of use. */
const barred: ReadonlySet<ErrorCode> = new Set(['ERR_AGENT_BANNED', 'ERR_AGENT_SUSPENDED']);

const passing: ReadonlySet<ErrorCategory> = new Set(['unavailable', 'exhausted', 'aborted']);

/** For answers without a code of trustplane's, as those of a SPIRE server. */
const codesByStatus: Readonly<Record<number, ErrorCode | undefined>> = {
  [status.CANCELLED]: 'ERR_NODE_UNREACHABLE',
  [status.INVALID_ARGUMENT]: 'ERR_REMOTE_INVALID',
  [status.DEADLINE_EXCEEDED]: 'ERR_NODE_UNREACHABLE',
  [status.NOT_FOUND]: 'ERR_REMOTE_NOT_FOUND',
  [status.ALREADY_EXISTS]: 'ERR_REMOTE_EXISTS',
  [status.PERMISSION_DENIED]: 'ERR_REMOTE_PERMISSION',
  [status.UNAUTHENTICATED]: 'ERR_REMOTE_PERMISSION',
  [status.RESOURCE_EXHAUSTED]: 'ERR_REMOTE_BUSY',
  [status.ABORTED]: 'ERR_REMOTE_BUSY',
  [status.UNIMPLEMENTED]: 'ERR_REMOTE_UNIMPLEMENTED',
  [status.UNAVAILABLE]: 'ERR_NODE_UNREACHABLE',
};

/** What a server's refusal, or its silence, means: its code, else the reason it gives an agent, else its status. */
export function callError(error: ServiceError, server: string): TrustplaneError {
  const code = sentCode(error) ?? reasonOf(error) ?? codesByStatus[error.code] ?? 'ERR_REMOTE';
  const said = error.details === '' ? messageOf(error) : error.details;
  return new TrustplaneError(code, `${server}: ${said}`, { cause: error });
}

/** The error of one item of a batch, by its gRPC code. */
export function itemError(code: number, message: string): TrustplaneError {
  return new TrustplaneError(codesByStatus[code] ?? 'ERR_REMOTE', message);
}

/** True when another server, or this one later, may well answer. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof TrustplaneError && error.category === 'unavailable';
}

/** Perhaps the agent's authority was revoked: a server closes the connection then, or says so on one that is open. */
export function isDoubtful(error: unknown): boolean {
  const isUnknown = error instanceof TrustplaneError && error.code === 'ERR_X509_UNTRUSTED';
  return isUnknown || isUnavailable(error);
}

/** True when the same may well go better later: a server that is there has too much to do, or others came before. */
export function isPassing(error: unknown): boolean {
  return error instanceof TrustplaneError && passing.has(error.category);
}

export function isBarred(error: unknown): boolean {
  return error instanceof TrustplaneError && barred.has(error.code);
}

/** A bar that an administrator may well lift. */
export function isSuspension(error: unknown): boolean {
  return error instanceof TrustplaneError && error.code === 'ERR_AGENT_SUSPENDED';
}

/** A server answered that is none of the trust domain, as far as the agent can tell. */
export function isUntrusted(error: unknown): boolean {
  return error instanceof TrustplaneError && error.code === 'ERR_NODE_SERVER';
}

/** What only another attestation can mend, or a bar. */
export function isLost(error: unknown): error is TrustplaneError {
  return error instanceof TrustplaneError && (lost.has(error.code) || isBarred(error));
}

function sentCode({ metadata }: ServiceError): ErrorCode | undefined {
  const [sent] = metadata.get(ERROR_CODE_KEY);
  return typeof sent === 'string' && isErrorCode(sent) ? sent : undefined;
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorCodes, text);
}

/** Only of a refused permission; details that cannot be read say nothing. */
function reasonOf({ code, metadata }: ServiceError): ErrorCode | undefined {
  const [bytes] = metadata.get(STATUS_KEY);
  if (code !== status.PERMISSION_DENIED || !(bytes instanceof Uint8Array)) return undefined;
  try {
    const { details } = decode('google/rpc/status.proto', 'google.rpc.Status', bytes);
    for (const detail of Array.isArray(details) ? details : []) {
      if (String(detail.type_url).split('/').at(-1) !== DETAILS) continue;
      const { reason } = decode('spire/api/types/status.proto', DETAILS, detail.value);
      return codesByReason[Number(reason)];
    }
  } catch {}
  return undefined;
}

function decode(file: string, name: string, bytes: Uint8Array): Record<string, unknown> {
  const type = messageType(file, name);
  return type.toObject(type.decode(strictBytes(bytes)), { enums: Number });
}
