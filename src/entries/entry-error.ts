import { type ErrorCode, TrustplaneError } from '../spiffe/index.ts';

const MAX_QUOTED = 120;

type EntryErrorCode = Extract<ErrorCode, `ERR_ENTRY_${string}`>;

/** An error about one field: its path, what was expected, what came. */
export function fieldError(
  code: EntryErrorCode,
  field: string,
  expected: string,
  got: string,
): TrustplaneError {
  return new TrustplaneError(code, `${field}: expected ${expected}; got ${got}`);
}

/** Outside text as JSON, cut to a length that is fit for a message. */
export function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
}
