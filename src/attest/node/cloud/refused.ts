import { type ErrorCode, TrustplaneError } from '../../../spiffe/index.ts';

/** An error about what a node showed, or about who is asked of it. */
export function refused(code: ErrorCode, message: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError(code, message, cause === undefined ? undefined : { cause });
}
