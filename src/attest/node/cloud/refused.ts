import { type ErrorCode, messageOf, TrustplaneError } from '../../../spiffe/index.ts';

/** An error about what a node showed, or about who is asked of it. */
export function refused(code: ErrorCode, message: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError(code, message, cause === undefined ? undefined : { cause });
}

/** What `attempt` returns; what it throws becomes an error with this code. */
export function orRefuse<T>(code: ErrorCode, what: string, attempt: () => T): T {
  try {
    return attempt();
  } catch (error) {
    throw refused(code, `${what}: ${messageOf(error)}`, error);
  }
}
