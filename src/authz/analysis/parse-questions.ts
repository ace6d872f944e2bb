import { TrustplaneError } from '../../spiffe/errors.ts';
import { parseIdPattern } from '../parse-patterns.ts';
import type { Pattern } from '../pattern.ts';
import type { Operation } from '../policy.ts';
import { shortOperation } from '../schema-values.ts';

/** As a policy has it: `GET /x`, `ANY /x/**`, or `/x`. @throws TrustplaneError ERR_POLICY_PATTERN */
export function parseOperation(text: string): Operation {
  const parsed = shortOperation.safeParse(text);
  if (parsed.success) return parsed.data;
  const what = parsed.error.issues.map(({ message }) => message).join('; ');
  throw new TrustplaneError(
    'ERR_POLICY_PATTERN',
    `"${text}" is no operation, as in "GET /x": ${what}`,
  );
}

/** A SPIFFE ID, or a pattern for some. @throws TrustplaneError ERR_POLICY_PATTERN */
export function parseId(text: string): Pattern {
  return parseIdPattern(text);
}
