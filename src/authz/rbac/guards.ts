import type { IdScope } from '../../spiffe/id-scope.ts';
import { parseIdPattern } from '../parse-patterns.ts';
import { keyInputs, keyMatchesOf, keyPredicate } from './clause.ts';
import { inTurn } from './in-turn.ts';
import type { MatchAction, Matcher, MatchInput, MatchList, Predicate } from './matcher.ts';
import { escapeRegex } from './pattern-regex.ts';
import { allOf, anyOf, regexValue } from './predicates.ts';
import type { RbacOptions, RbacTerms } from './rbac-options.ts';
import {
  anyText,
  canonicalHost,
  canonicalPath,
  idBelow,
  overlongId,
  overlongPath,
  validId,
} from './valid-regexes.ts';

type Entry = MatchList['entries'][number];

export interface GuardOptions extends Pick<RbacOptions, 'target' | 'terms'> {
  readonly allowMatrixParameters: boolean;
  /** Something is denied by where it comes from. */
  readonly asksForSource: boolean;
}

const callerInput = keyInputs.id;
const pathInput = keyInputs.path;
const hostInput: MatchInput = { kind: 'header', name: ':authority' };
const serialInput: MatchInput = { kind: 'serial' };
/** Of a connection, of which Envoy's RBAC is told no more. */
const noSerial: Predicate = {
  kind: 'value',
  input: serialInput,
  match: { kind: 'exact', text: '-' },
};
const sourceInput: MatchInput = { kind: 'source-ip' };
const isShortId: Predicate = { kind: 'not', of: regexValue(callerInput, overlongId) };
const isShortPath: Predicate = { kind: 'not', of: regexValue(pathInput, overlongPath) };
const isWorkload: Predicate = allOf([regexValue(callerInput, validId), isShortId]);
const plainPathGuard = pathGuardOf(canonicalPath(false));
const matrixPathGuard = pathGuardOf(canonicalPath(true));
/** So many names of trust domains make one regex. */
const MAX_NAMES = 256;

export function denial(name: string): MatchAction {
  return { kind: 'action', name, action: 'DENY' };
}

/** What is left to Check, on the way there and where nobody asks it. */
export const askCheck: Readonly<Record<'allow' | 'deny', MatchAction>> = {
  allow: { kind: 'action', name: 'ask_check', action: 'ALLOW' },
  deny: denial('ask_check'),
};

/** Denies what the engine denies whatever the rules say. */
export function certainGuards({ target, terms, allowMatrixParameters }: GuardOptions): Matcher {
  return listOf([
    svidGuard(terms.trusted, target),
    ...(target === 'http'
      ? [allowMatrixParameters ? matrixPathGuard : plainPathGuard, hostGuard]
      : []),
  ]);
}

/** Denies besides what the engine may deny, or decide by what Envoy cannot see. */
export function cautiousGuards(options: GuardOptions): Matcher {
  const { target, terms, allowMatrixParameters, asksForSource } = options;
  const { revokedIds, revokedSerials, tokenHeaders } = terms;
  const tokens = tokenHeaders.map(
    (name): Entry => ({
      when: regexValue({ kind: 'header', name }, anyText),
      then: askCheck.deny,
    }),
  );
  const matrix = { when: regexValue(pathInput, '[^;]*;.*'), then: askCheck.deny };
  const entries = [
    ...(revokedSerials.length === 0 ? [] : [serialGuard]),
    ...(target === 'http' && allowMatrixParameters ? [matrix] : []),
    ...(target === 'http' && asksForSource ? [sourceGuard] : []),
    ...(target === 'http' ? [...tokens, ...proxyEntries(terms, askCheck.deny)] : []),
  ];
  return [
    revocations(callerInput, revokedIds),
    revocations(serialInput, revokedSerials),
    entries.length === 0 ? undefined : listOf(entries),
  ].reduce<Matcher>((all, one) => inTurn(all, one) ?? all, certainGuards(options));
}

/** Proxies speak for others, of whom Check is told. */
export function proxyGuards({ target, terms }: GuardOptions): Matcher | undefined {
  const entries = target === 'http' ? proxyEntries(terms, askCheck.allow) : [];
  return entries.length === 0 ? undefined : listOf(entries);
}

function proxyEntries({ proxies }: RbacTerms, then: MatchAction): Entry[] {
  if (proxies.length === 0) return [];
  return [{ when: keyPredicate(callerInput, keyMatchesOf(proxies.map(parseIdPattern))), then }];
}

function listOf(entries: readonly Entry[]): Matcher {
  return { kind: 'list', entries, otherwise: undefined };
}

/**
 * Nobody is a caller without certificate, or one with the ID of a workload in it. Most have one that is trusted, so
 * that one regex is tried, and why others are not is asked then.
 */
function svidGuard(trusted: RbacTerms['trusted'], target: RbacOptions['target']): Entry {
  const isNobody: Predicate = target === 'http' ? { kind: 'no-client-certificate' } : noSerial;
  const isValid = anyOf([isWorkload, isNobody]);
  if (trusted === undefined)
    return { when: { kind: 'not', of: isValid }, then: denial('bad_svid') };
  const ids = trustedIds(trusted);
  const isTrusted = ids.length === 0 ? [] : [allOf([anyOf(ids), isShortId])];
  return {
    when: { kind: 'not', of: anyOf([...isTrusted, isNobody]) },
    then: {
      kind: 'list',
      entries: [{ when: { kind: 'not', of: isValid }, then: denial('bad_svid') }],
      otherwise: denial('unknown_trust_domain'),
    },
  };
}

function trustedIds(trusted: NonNullable<RbacTerms['trusted']>): Predicate[] {
  const isWhole = ({ accept }: (typeof trusted)[number]): boolean => (accept ?? []).length === 0;
  const names = trusted.filter(isWhole).map(({ trustDomain }) => escapeRegex(trustDomain));
  const scopes = trusted.flatMap(({ accept }) => accept ?? []);
  return [
    ...slices(names, MAX_NAMES).map((some) => `spiffe://(?:${some.join('|')})${idBelow}`),
    ...scopes.map(scopeRegex),
  ].map((regex) => regexValue(callerInput, regex));
}

/** The ID of a trust domain itself is nobody's. */
function scopeRegex({ exact, prefix }: IdScope): string {
  if (prefix === undefined) return escapeRegex(exact);
  return `${escapeRegex(exact)}${prefix.split('/').length > 4 ? `(?:${idBelow})?` : idBelow}`;
}

function slices<T>(all: readonly T[], size: number): (readonly T[])[] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, at) =>
    all.slice(at * size, (at + 1) * size),
  );
}

function pathGuardOf(regex: string): Entry {
  const isCanonical = allOf([regexValue(pathInput, regex), isShortPath]);
  return { when: { kind: 'not', of: isCanonical }, then: denial('non_canonical_path') };
}

/** A host that is missing is none that is wrong. */
const hostGuard: Entry = {
  when: allOf([
    { kind: 'not', of: regexValue(hostInput, canonicalHost) },
    regexValue(hostInput, anyText),
  ]),
  then: denial('non_canonical_host'),
};

/** Whoever has an ID has a serial number: an Envoy that does not tell it cannot be asked about it. */
const serialGuard: Entry = {
  when: allOf([
    { kind: 'value', input: callerInput, match: { kind: 'prefix', text: 'spiffe://' } },
    { kind: 'not', of: regexValue(serialInput, '[0-9a-f]+') },
  ]),
  then: askCheck.deny,
};

/** A listener that does not tell where its connections come from cannot be asked about it. */
const sourceGuard: Entry = {
  when: { kind: 'not', of: regexValue(sourceInput, anyText) },
  then: askCheck.deny,
};

function revocations(input: MatchInput, values: readonly string[]): Matcher | undefined {
  if (values.length === 0) return undefined;
  const revoked = denial('revoked');
  const entries = new Map(values.map((value) => [value, revoked]));
  return { kind: 'map', by: 'exact', input, entries, otherwise: undefined };
}
