import type { Pattern } from '../pattern.ts';
import type { MatchInput, Predicate } from './matcher.ts';
import { escapeRegex, joinRegexes, regexParts } from './pattern-regex.ts';
import { anyOf, regexValue } from './predicates.ts';

/** By what trees are keyed, in this order where it makes no difference. */
export const keyNames = ['id', 'path', 'method'] as const;
export type KeyName = (typeof keyNames)[number];

export const keyInputs: Readonly<Record<KeyName, MatchInput>> = {
  id: { kind: 'uri-san' },
  path: { kind: 'path' },
  method: { kind: 'header', name: ':method' },
};

/** One way to match a rule: one of each list, and every condition. */
export interface Clause {
  /** Of the action. */
  readonly name: string;
  /** Undefined: whatever it is, also nothing. */
  readonly id: readonly KeyMatch[] | undefined;
  readonly path: readonly KeyMatch[] | undefined;
  readonly method: readonly KeyMatch[] | undefined;
  readonly conditions: readonly Predicate[];
}

/** What a value is looked up by; a glob has a literal beginning, by which it is found, and a regex for the whole. */
export type KeyMatch =
  | { readonly kind: 'exact' | 'prefix'; readonly text: string }
  | { readonly kind: 'glob'; readonly text: string; readonly parts: readonly string[] };

/** More of them are one regex. */
const FEW = 4;

/** What patterns of SPIFFE IDs or paths are looked up by. */
export function keyMatchesOf(patterns: readonly Pattern[]): readonly KeyMatch[] {
  return patterns.flatMap(keyMatchOf);
}

function keyMatchOf(pattern: Pattern): KeyMatch[] {
  const { text, isExact } = pattern;
  if (isExact) return [{ kind: 'exact', text }];
  if (text === 'spiffe://*/**') return [{ kind: 'prefix', text: 'spiffe://' }];
  const special = text.search(/[*{]/u);
  const isBelow = text.endsWith('/**') && special === text.length - 2;
  if (!isBelow) {
    const isOpen = text.startsWith('**', special);
    const beginning = text.slice(0, isOpen ? special - 1 : special);
    return [{ kind: 'glob', text: beginning, parts: regexParts(pattern) }];
  }
  return [
    { kind: 'exact', text: text.slice(0, -3) },
    { kind: 'prefix', text: text.slice(0, -2) },
  ];
}

/** True of a value that one of them matches; there is at least one. */
export function keyPredicate(input: MatchInput, matches: readonly KeyMatch[]): Predicate {
  const [only, ...others] = matches;
  if (only !== undefined && only.kind !== 'glob' && others.length === 0)
    return { kind: 'value', input, match: only };
  const regexes = matches.length > FEW ? matches : matches.filter(({ kind }) => kind === 'glob');
  const texts = matches.length > FEW ? [] : matches;
  const values = texts.flatMap((match): Predicate[] =>
    match.kind === 'glob' ? [] : [{ kind: 'value', input, match }],
  );
  return anyOf([...values, ...regexesOf(input, regexes.map(regexPartsOf))]);
}

/** Characters of one regex of many alternatives; Envoy refuses those whose program takes megabytes. */
const MAX_REGEX = 16_384;

/** One regex, or a few where one were too long; none for none. */
export function regexesOf(
  input: MatchInput,
  all: readonly (readonly string[])[],
): readonly Predicate[] {
  const chunks: (readonly string[])[][] = [];
  let size = MAX_REGEX;
  for (const parts of all) {
    const length = parts.reduce((sum, part) => sum + part.length, 1);
    size += length;
    if (size > MAX_REGEX) {
      chunks.push([]);
      size = length;
    }
    chunks.at(-1)?.push(parts);
  }
  return chunks.map((chunk) => regexValue(input, joinRegexes(chunk)));
}

/** The parts of a regex for what is looked up. */
export function regexPartsOf(match: KeyMatch): readonly string[] {
  if (match.kind === 'glob') return match.parts;
  const segments = match.text
    .split('/')
    .map((segment, at) => `${at === 0 ? '' : '/'}${escapeRegex(segment)}`);
  return match.kind === 'exact' ? segments : [...segments, '[!-~]*'];
}
