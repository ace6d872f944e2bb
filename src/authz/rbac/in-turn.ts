import type { Matcher } from './matcher.ts';

/** Looked at in this order; where the first has no result the second is asked. */
export function inTurn(
  first: Matcher | undefined,
  second: Matcher | undefined,
): Matcher | undefined {
  if (first === undefined) return second;
  if (first.kind === 'action' || second === undefined) return first;
  return { ...first, otherwise: inTurn(first.otherwise, second) };
}
