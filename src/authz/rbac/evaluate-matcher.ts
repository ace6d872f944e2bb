import { parseIp, rangeHolds } from '../ip-range.ts';
import type {
  MatchAction,
  Matcher,
  MatchInput,
  MatchList,
  MatchMap,
  Predicate,
  ValueMatch,
} from './matcher.ts';

/** What Envoy knows of a request or connection. Undefined: it has no such value. */
export interface MatchFacts {
  /** The URI SANs of the caller's certificate, joined by commas. */
  readonly uriSan?: string | undefined;
  /** Without the query. */
  readonly path?: string | undefined;
  /** As Envoy writes it: `-` without a certificate. */
  readonly serial?: string | undefined;
  /** By names in lower case, lines of one name joined by commas; `:method` and `:authority` too. */
  readonly headers?: ReadonlyMap<string, string> | undefined;
  readonly sourceIp?: string | undefined;
  readonly destinationIp?: string | undefined;
  readonly destinationPort?: number | undefined;
  /** By namespaces. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
  /** Whether the caller has shown a certificate. */
  readonly isMtls: boolean;
}

/**
 * What a tree comes to in Envoy 1.40; undefined: no match, which RBAC denies. A part without result
 * is a miss, and the search goes on behind it. Regexes run in JavaScript instead of RE2.
 */
export function evaluateMatcher(matcher: Matcher, facts: MatchFacts): MatchAction | undefined {
  switch (matcher.kind) {
    case 'action':
      return matcher;
    case 'map':
      return evaluateMap(matcher, facts) ?? evaluateRest(matcher, facts);
    default:
      return evaluateList(matcher, facts) ?? evaluateRest(matcher, facts);
  }
}

function evaluateRest(matcher: MatchMap | MatchList, facts: MatchFacts): MatchAction | undefined {
  return matcher.otherwise && evaluateMatcher(matcher.otherwise, facts);
}

function evaluateList({ entries }: MatchList, facts: MatchFacts): MatchAction | undefined {
  for (const { when, then } of entries) {
    const result = holds(when, facts) ? evaluateMatcher(then, facts) : undefined;
    if (result !== undefined) return result;
  }
  return undefined;
}

function evaluateMap(matcher: MatchMap, facts: MatchFacts): MatchAction | undefined {
  const value = valueOf(matcher.input, facts);
  if (value === undefined) return undefined;
  const shortest = matcher.by === 'exact' ? value.length : 0;
  for (let length = value.length; length >= shortest; length--) {
    const found = matcher.entries.get(value.slice(0, length));
    const result = found && evaluateMatcher(found, facts);
    if (result !== undefined) return result;
  }
  return undefined;
}

function holds(predicate: Predicate, facts: MatchFacts): boolean {
  switch (predicate.kind) {
    case 'value':
      return matches(predicate.match, valueOf(predicate.input, facts));
    case 'claim':
      return claimHolds(predicate, facts);
    case 'no-client-certificate':
      return !facts.isMtls;
    case 'and':
      return predicate.all.every((one) => holds(one, facts));
    case 'or':
      return predicate.all.some((one) => holds(one, facts));
    default:
      return !holds(predicate.of, facts);
  }
}

function valueOf(input: MatchInput, facts: MatchFacts): string | undefined {
  switch (input.kind) {
    case 'uri-san':
      return facts.uriSan;
    case 'path':
      return facts.path;
    case 'serial':
      return facts.serial;
    case 'header':
      return facts.headers?.get(input.name);
    case 'source-ip':
      return facts.sourceIp;
    case 'destination-ip':
      return facts.destinationIp;
    default:
      return facts.destinationPort?.toString();
  }
}

function claimHolds(
  { namespace, path, match, isContained }: Extract<Predicate, { kind: 'claim' }>,
  { metadata }: MatchFacts,
): boolean {
  let value: unknown = metadata?.[namespace];
  for (const key of path) value = memberOf(value, key);
  const isText = (one: unknown): boolean => typeof one === 'string' && matches(match, one);
  return isContained ? Array.isArray(value) && value.some(isText) : isText(value);
}

function memberOf(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return Object.entries(value).find(([name]) => name === key)?.[1];
}

function matches(match: ValueMatch, value: string | undefined): boolean {
  if (value === undefined) return false;
  switch (match.kind) {
    case 'exact':
      return match.ignoreCase === true
        ? lowerAscii(match.text) === lowerAscii(value)
        : match.text === value;
    case 'prefix':
      return value.startsWith(match.text);
    case 'regex':
      return regexOf(match).test(value);
    default: {
      const address = parseIp(value);
      return address !== undefined && match.ranges.some((range) => rangeHolds(range, address));
    }
  }
}

function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/gu, (letter) => letter.toLowerCase());
}

const regexes = new WeakMap<ValueMatch, RegExp>();

function regexOf(match: Extract<ValueMatch, { kind: 'regex' }>): RegExp {
  const known = regexes.get(match);
  if (known !== undefined) return known;
  const regex = new RegExp(`^(?:${match.regex})$`, 'u');
  regexes.set(match, regex);
  return regex;
}
