import type { MatchInput, Predicate } from './matcher.ts';

/** RE2, of the whole value. */
export function regexValue(input: MatchInput, regex: string): Predicate {
  return { kind: 'value', input, match: { kind: 'regex', regex } };
}

/** There is at least one. */
export function anyOf(all: readonly Predicate[]): Predicate {
  const [first, ...others] = all;
  return others.length === 0 && first !== undefined ? first : { kind: 'or', all };
}

/** There is at least one. */
export function allOf(all: readonly Predicate[]): Predicate {
  const [first, ...others] = all;
  return others.length === 0 && first !== undefined ? first : { kind: 'and', all };
}
