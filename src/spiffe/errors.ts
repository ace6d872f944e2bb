/**
 * Every error trustplane raises on purpose has a stable code from this table. A code never changes
 * its meaning. The category decides the gRPC status, the HTTP status and the exit code, in
 * `wire/status.ts` alone.
 */
export type ErrorCategory =
  | 'invalid'
  | 'unauthenticated'
  | 'permission'
  | 'not-found'
  | 'already-exists'
  | 'precondition'
  | 'aborted'
  | 'exhausted'
  | 'unavailable'
  | 'unimplemented'
  | 'data-loss'
  | 'internal';

/** Code → category and a one-line meaning. One line per code, grouped by the room that raises it. */
export const errorCodes = {
  // spiffe: SPIFFE IDs and trust domains
  ERR_SPIFFE_ID_EMPTY: ['invalid', 'The SPIFFE ID is empty.'],
  ERR_SPIFFE_ID_SCHEME: ['invalid', 'The SPIFFE ID does not begin with "spiffe://".'],
  ERR_SPIFFE_ID_TOO_LONG: ['invalid', 'The SPIFFE ID has more than 2048 bytes.'],
  ERR_SPIFFE_ID_PATH: ['invalid', 'The path of the SPIFFE ID is malformed.'],
  ERR_TRUST_DOMAIN: ['invalid', 'The trust domain name is malformed.'],
  // spiffe: selectors
  ERR_SELECTOR: ['invalid', 'The selector is not of the form type:value.'],
  // anywhere: a state the code holds to be impossible
  ERR_INTERNAL: ['internal', 'A defect in trustplane; please report it.'],
} as const satisfies Record<`ERR_${string}`, readonly [ErrorCategory, string]>;

export type ErrorCode = keyof typeof errorCodes;

/** An error with a stable code; the message says what was expected, what came and where. */
export class TrustplaneError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }

  get category(): ErrorCategory {
    return errorCodes[this.code][0];
  }
}

/** The text of any thrown value, for messages that wrap it. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
