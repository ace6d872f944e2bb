import { type ErrorCode, messageOf, quote as quoteUpTo, TrustplaneError } from '../spiffe/index.ts';

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

/** What `parse` makes of a field; its refusal under the code and path of the field. */
export function refused<T>(code: EntryErrorCode, field: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new TrustplaneError(code, `${field}: ${messageOf(error)}`, { cause: error });
  }
}

/** Outside text as JSON, cut to a length that is fit for a message. */
export function quote(text: string): string {
  return quoteUpTo(text, MAX_QUOTED);
}
