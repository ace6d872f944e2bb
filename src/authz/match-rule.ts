import type { CanonicalRequest } from './access-request.ts';
import { type Effort, steps } from './effort.ts';
import type { IdList } from './id-list.ts';
import { rangeHolds } from './ip-range.ts';
import type { Pattern } from './pattern.ts';
import type { PlanFrom, PlanRule } from './plan.ts';
import type { ClaimCondition, Conditions, Operation, ValueCondition } from './policy.ts';

/** What a rule looks at, in this order. */
export const ruleFields = [
  'from',
  'method',
  'path',
  'grpc',
  'host',
  'port',
  'query',
  'jwt',
  'source.ip',
  'destination.ip',
  'time',
  'headers',
  'captures',
] as const;
export type RuleField = (typeof ruleFields)[number];

/** Values of captures, by name. */
export type Bindings = ReadonlyMap<string, string>;

/** The first field that keeps the rule from matching; undefined: it matches. */
export function failingField(rule: PlanRule, request: CanonicalRequest): RuleField | undefined {
  if (!matchesFrom(rule.from, request) || !takesCredential(rule, request)) return 'from';
  const operation = failingOfAll(rule, request);
  if (operation !== undefined) return operation;
  const condition = rule.when && failingCondition(rule.when, rule.isAllow, request);
  if (condition !== undefined) return condition;
  return rule.hasCaptures && findBindings(rule, request).length === 0 ? 'captures' : undefined;
}

const bound = new WeakMap<CanonicalRequest, Map<PlanRule, readonly Bindings[]>>();

/** Every way in which the captures of a rule that matches agree; found once for a request. */
export function findBindings(rule: PlanRule, request: CanonicalRequest): readonly Bindings[] {
  const known = bound.get(request) ?? new Map<PlanRule, readonly Bindings[]>();
  const ways = known.get(rule) ?? bindCaptures(rule, request);
  bound.set(request, known.set(rule, ways));
  return ways;
}

function bindCaptures(rule: PlanRule, request: CanonicalRequest): readonly Bindings[] {
  const { callerId = '', http, effort } = request;
  const { from } = rule;
  const lists = typeof from !== 'string' && 'except' in from ? from.lists : [];
  const few = typeof from === 'string' || 'except' in from ? [] : from;
  const ids = [...few, ...lists.flatMap(({ patterns }) => patterns)];
  const isExact = typeof from === 'string' || lists.some(({ exact }) => exact.has(callerId));
  const callers = capturesOf(ids, callerId, isExact, effort);
  return rule.operations
    .filter((operation) => failingOperation(operation, rule.isAllow, request) === undefined)
    .flatMap(({ paths, hosts }) =>
      agreeing(
        [
          callers,
          capturesOf(paths, http?.path ?? '', paths === undefined, effort),
          capturesOf(hosts, http?.host ?? '', hosts === undefined, effort),
        ],
        effort,
      ),
    );
}

function capturesOf(
  patterns: readonly Pattern[] | undefined,
  value: string,
  orNothing: boolean,
  effort: Effort,
): Bindings[] {
  const found = (patterns ?? [])
    .filter((pattern) => matches(pattern, value, effort))
    .flatMap((pattern) => pattern.captures(value) ?? []);
  return orNothing ? [...found, new Map<string, string>()] : found;
}

function agreeing(choices: readonly (readonly Bindings[])[], effort: Effort): Bindings[] {
  return choices.reduce<Bindings[]>(
    (all, some) => {
      effort.spend(all.length * some.length * steps.way);
      return all.flatMap((one) => some.flatMap((other) => joined(one, other) ?? []));
    },
    [new Map()],
  );
}

function joined(one: Bindings, other: Bindings): Bindings | undefined {
  for (const [name, value] of other) if ((one.get(name) ?? value) !== value) return undefined;
  return new Map([...one, ...other]);
}

function matchesFrom(from: PlanFrom, { callerId, effort }: CanonicalRequest): boolean {
  if (from === 'anyone') return true;
  if (callerId === undefined) return false;
  if (from === 'authenticated') return true;
  if (!('except' in from)) return anyMatches(from, callerId, effort);
  return anyHolds(from.lists, callerId, effort) && !anyHolds(from.except, callerId, effort);
}

function anyHolds(lists: readonly IdList[], id: string, effort: Effort): boolean {
  return lists.some(({ exact, patterns }) => exact.has(id) || anyMatches(patterns, id, effort));
}

/** What shows an ID is no way around a deny, unless the deny says so. */
function takesCredential(
  { from, credentials, isAllow }: PlanRule,
  { credential }: CanonicalRequest,
): boolean {
  if (from === 'anyone') return true;
  return credentials?.includes(credential) ?? (!isAllow || credential === 'x509-svid');
}

/** Undefined if one operation matches, else the field at which the one that came furthest fails. */
function failingOfAll(rule: PlanRule, request: CanonicalRequest): RuleField | undefined {
  let furthest: RuleField = 'method';
  for (const operation of rule.operations) {
    const field = failingOperation(operation, rule.isAllow, request);
    if (field === undefined) return undefined;
    if (ruleFields.indexOf(field) > ruleFields.indexOf(furthest)) furthest = field;
  }
  return furthest;
}

function failingOperation(
  operation: Operation,
  isAllow: boolean,
  { http, destinationPort, effort }: CanonicalRequest,
): RuleField | undefined {
  const { methods, paths, hosts, ports, query, isGrpc } = operation;
  const method = isAllow ? http?.method : http?.capitalMethod;
  if (methods !== undefined && (method === undefined || !methods.includes(method))) return 'method';
  if (paths !== undefined && (http === undefined || !anyMatches(paths, http.path, effort)))
    return 'path';
  // Servers take calls with any content type, or none, so it is no way around a deny.
  if (isGrpc === true && isAllow && !agree(http?.headers('content-type') ?? [], true, isGrpcType))
    return 'grpc';
  if (hosts !== undefined && (http?.host === undefined || !anyMatches(hosts, http.host, effort)))
    return 'host';
  if (ports !== undefined && (destinationPort === undefined || !ports.includes(destinationPort)))
    return 'port';
  if (query === undefined) return undefined;
  const matchesKey = ([key, patterns]: [string, readonly Pattern[]]): boolean =>
    agree(http?.query(key) ?? [], isAllow, (value) => anyMatches(patterns, value, effort));
  return Object.entries(query).every(matchesKey) ? undefined : 'query';
}

function failingCondition(
  { jwt, time, headers, ...addresses }: Conditions,
  isAllow: boolean,
  request: CanonicalRequest,
): RuleField | undefined {
  const { http, sourceIp, destinationIp, claims, now, effort } = request;
  if (jwt !== undefined && (http === undefined || !matchesJwt(jwt, claims, effort))) return 'jwt';
  const holds = (wanted: Conditions['source.ip'], address: readonly number[] | undefined) =>
    wanted === undefined ||
    (address !== undefined &&
      wanted.some((range) => {
        effort.spend(steps.pattern);
        return rangeHolds(range, address);
      }));
  if (!holds(addresses['source.ip'], sourceIp)) return 'source.ip';
  if (!holds(addresses['destination.ip'], destinationIp)) return 'destination.ip';
  if (now < (time?.from ?? now) || now >= (time?.until ?? Number.POSITIVE_INFINITY)) return 'time';
  if (headers === undefined) return undefined;
  const matchesHeader = ([name, { patterns, values }]: [string, ValueCondition]): boolean =>
    agree(http?.headers(name) ?? [], values === undefined ? isAllow : values === 'every', (value) =>
      anyMatches(patterns, value, effort),
    );
  return Object.entries(headers).every(matchesHeader) ? undefined : 'headers';
}

function matchesJwt(
  { issuer, claims: wanted }: NonNullable<Conditions['jwt']>,
  claims: Readonly<Record<string, unknown>> | undefined,
  effort: Effort,
): boolean {
  if (claims?.['iss'] !== issuer) return false;
  return Object.entries(wanted ?? {}).every(([name, condition]) =>
    matchesClaim(condition, Object.hasOwn(claims, name) ? claims[name] : undefined, effort),
  );
}

function matchesClaim(
  { patterns, isContained }: ClaimCondition,
  claim: unknown,
  effort: Effort,
): boolean {
  const isMeant = (value: unknown): boolean =>
    typeof value === 'string' && anyMatches(patterns, value, effort);
  return isContained ? Array.isArray(claim) && claim.some(isMeant) : isMeant(claim);
}

function isGrpcType(value: string): boolean {
  return /^application\/grpc(?:$|[+; ])/iu.test(value);
}

/** No value at all never agrees. */
function agree(
  values: readonly string[],
  needsEvery: boolean,
  test: (value: string) => boolean,
): boolean {
  if (values.length === 0) return false;
  return needsEvery ? values.every(test) : values.some(test);
}

function anyMatches(patterns: readonly Pattern[], value: string, effort: Effort): boolean {
  return patterns.some((pattern) => matches(pattern, value, effort));
}

function matches(pattern: Pattern, value: string, effort: Effort): boolean {
  const { isExact, text } = pattern;
  const perCharacter = text.length > steps.longPattern ? steps.perCharacter : 1;
  effort.spend(isExact ? steps.exact : steps.pattern + value.length * perCharacter);
  return pattern.matches(value);
}
