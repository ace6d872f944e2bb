import { errors } from '@nats-io/transport-node';
import { type ErrorCode, messageOf, TrustplaneError } from '../spiffe/errors.ts';

/** The stream said no. Codes: nats-server's errors.json. */
export class JetStreamError extends Error {
  readonly code: number;

  constructor(code: number, description: string) {
    super(`${description} (JetStream error ${code})`);
    this.code = code;
  }
}

/** Nothing was heard of a request. */
export class NoAnswerError extends Error {
  /** Whether the request may have been performed all the same. */
  readonly isAmbiguous: boolean;

  constructor(message: string, isAmbiguous: boolean, cause?: unknown) {
    super(message, { cause });
    this.isAmbiguous = isAmbiguous;
  }
}

/** The revision of the key, or a write to it on its way, is not what was expected. */
const CONFLICTS = [10071, 10164];
export const NO_MESSAGE = 10037;
export const NO_STREAM = 10059;
/** The cluster is electing, or has too few servers up yet, or is busy, or an equal message is on its way. */
const PASSING = [10005, 10008, 10009, 10118, 10158, 10163, 10167];
const FULL = [10002, 10023, 10028, 10047, 10077];
const READ_ONLY = [10109];
/** A single nats-server, or fewer in the cluster than replicas. */
const TOO_FEW = [10005, 10074];

export function isConflict(error: unknown): boolean {
  return error instanceof JetStreamError && CONFLICTS.includes(error.code);
}

/** Whether asking again may help. */
export function isPassing(error: unknown): boolean {
  if (error instanceof NoAnswerError) return true;
  return error instanceof JetStreamError && PASSING.includes(error.code);
}

/** What the NATS client rejected a request with. */
export function requestError(error: unknown): Error {
  const cause = error instanceof errors.RequestError ? error.cause : error;
  if (cause instanceof errors.NoRespondersError) return nobody(error);
  if (cause instanceof errors.PermissionViolationError) return cause;
  return silence(error);
}

function nobody(cause: unknown): NoAnswerError {
  const why = 'no server of NATS leads the stream, or JetStream is not enabled there';
  return new NoAnswerError(why, false, cause);
}

function silence(cause: unknown): NoAnswerError {
  return new NoAnswerError(`no answer of NATS (${messageOf(cause)})`, true, cause);
}

/** Anything thrown while `what` was used, as an error of ours. */
export function jetStreamError(what: string, error: unknown): TrustplaneError {
  if (error instanceof TrustplaneError) return error;
  const [code, meaning] = meaningOf(error);
  return new TrustplaneError(code, `${what} ${meaning} (${messageOf(error)})`, { cause: error });
}

function meaningOf(error: unknown): readonly [ErrorCode, string] {
  if (error instanceof errors.PermissionViolationError) {
    return ['ERR_STORE_UNAVAILABLE', 'is not open to this NATS user; grant what the guide lists'];
  }
  if (!(error instanceof JetStreamError)) return ['ERR_STORE_UNAVAILABLE', 'does not answer'];
  if (FULL.includes(error.code)) return ['ERR_STORE_FULL', 'has no room left; give NATS more'];
  if (READ_ONLY.includes(error.code)) return ['ERR_STORE_READ_ONLY', 'is sealed'];
  if (TOO_FEW.includes(error.code)) {
    return ['ERR_STORE_UNAVAILABLE', 'has fewer nats-servers than server.store.replicas'];
  }
  if (error.code === NO_STREAM) {
    return ['ERR_STORE_UNAVAILABLE', 'is gone; restore it from a backup'];
  }
  return ['ERR_STORE_UNAVAILABLE', 'failed'];
}
