import type { IpRange } from '../ip-range.ts';
import { parseIpRange, rangeHolds } from '../ip-range.ts';
import type { Pattern } from '../pattern.ts';
import type { ClaimCondition, Conditions, Operation, ValueCondition } from '../policy.ts';
import { hostRegex, inAnyCase, isWholeHostRegex } from './host-regex.ts';
import type { MatchInput, Predicate } from './matcher.ts';
import { globRegex, textRegex } from './pattern-regex.ts';
import { allOf, anyOf, regexValue } from './predicates.ts';
import type { RbacTerms } from './rbac-options.ts';
import { anyText } from './valid-regexes.ts';

/** A condition in Envoy's terms: `sure` holds only if it does, `maybe` whenever it does. */
export interface ConditionBounds {
  /** Undefined: Envoy cannot tell that it holds. */
  readonly sure: Predicate | undefined;
  /** Undefined: Envoy cannot tell that it does not. */
  readonly maybe: Predicate | undefined;
  /** Why they are not the same. */
  readonly why: string | undefined;
}

/** Visible ASCII and blanks without the comma, by which Envoy joins lines. */
const PLAIN = '[\\t -+\\--~]';
const plainLine = `${PLAIN}*`;
/** Envoy calls it `:authority` and writes it otherwise. */
const RENAMED = 'host';

/** What an operation and the conditions of its rule ask, beside caller, method and path. */
export function conditionsOf(
  operation: Operation,
  when: Conditions | undefined,
  isAllow: boolean,
  jwt: RbacTerms['jwt'],
): readonly ConditionBounds[] {
  const { hosts, ports, query, isGrpc } = operation;
  return [
    ...(hosts === undefined ? [] : [hostCondition(hosts)]),
    ...(isGrpc === true && isAllow ? [grpcCondition()] : []),
    ...(ports === undefined ? [] : [exactly(portCondition(ports))]),
    ...(query === undefined ? [] : [unknown('values of queries are decoded by Check')]),
    ...(when === undefined ? [] : whenConditions(when, jwt)),
  ];
}

function whenConditions(when: Conditions, jwt: RbacTerms['jwt']): readonly ConditionBounds[] {
  const { 'source.ip': source, 'destination.ip': destination, headers = {}, time } = when;
  return [
    ...(source === undefined ? [] : [addressCondition('source-ip', source)]),
    ...(destination === undefined ? [] : [addressCondition('destination-ip', destination)]),
    ...(time === undefined ? [] : [unknown('the clock is that of Check')]),
    ...Object.entries(headers).map(([name, condition]) => headerCondition(name, condition)),
    ...(when.jwt === undefined ? [] : tokenConditions(when.jwt, jwt)),
  ];
}

function exactly(predicate: Predicate): ConditionBounds {
  return { sure: predicate, maybe: predicate, why: undefined };
}

function unknown(why: string): ConditionBounds {
  return { sure: undefined, maybe: undefined, why };
}

function hostCondition(hosts: readonly Pattern[]): ConditionBounds {
  const input = { kind: 'header', name: ':authority' } as const;
  const sure = regexValue(input, hostRegex(hosts, false));
  if (isWholeHostRegex(hosts)) return exactly(sure);
  const why = 'IPv6 addresses of hosts with several stars are compared by Check';
  return { sure, maybe: regexValue(input, hostRegex(hosts, true)), why };
}

function grpcCondition(): ConditionBounds {
  const type = `${inAnyCase('application/grpc')}(?:[+; ]${plainLine})?`;
  return {
    sure: regexValue({ kind: 'header', name: 'content-type' }, type),
    maybe: undefined,
    why: undefined,
  };
}

function portCondition(ports: readonly number[]): Predicate {
  const input = { kind: 'destination-port' } as const;
  return anyOf(
    ports.map((port) => ({ kind: 'value', input, match: { kind: 'exact', text: String(port) } })),
  );
}

const mapped = parseIpv4InIpv6();
const linkLocal = parseIpRange('fe80::/10');

/** Addresses in IPv4 are those in IPv6 that stand for them, and these are in no range of IPv6. */
function addressCondition(
  kind: 'source-ip' | 'destination-ip',
  ranges: readonly IpRange[],
): ConditionBounds {
  const input = { kind } as const;
  const within = (some: readonly IpRange[]): Predicate => ({
    kind: 'value',
    input,
    match: { kind: 'ip', ranges: some },
  });
  const [short, long] = [4, 16].map((length) =>
    ranges.filter(({ bytes }) => bytes.length === length),
  );
  const all = [
    ...(short === undefined || short.length === 0
      ? []
      : [within([...short, ...short.map(inIpv6)])]),
    ...(long === undefined || long.length === 0
      ? []
      : [allOf([within(long), { kind: 'not', of: within([mapped]) }])]),
  ];
  const sure = anyOf(all);
  if (long?.some(meetsLinkLocal) !== true) return exactly(sure);
  // The zone is written behind such an address, and Envoy takes it for none.
  const maybe = anyOf([...all, regexValue(input, '[^%]*%.*')]);
  return { sure, maybe, why: 'link-local addresses with a zone are compared by Check' };
}

/** fe80::/10. */
function meetsLinkLocal({ bytes, bits }: IpRange): boolean {
  const { bytes: local } = linkLocal;
  return rangeHolds({ text: '', bytes: local, bits: Math.min(bits, linkLocal.bits) }, bytes);
}

function parseIpv4InIpv6(): IpRange {
  const { bytes } = parseIpRange('0.0.0.0/0');
  return inIpv6({ text: '', bytes, bits: 0 });
}

function inIpv6({ bytes, bits }: IpRange): IpRange {
  const long = [...Array<number>(10).fill(0), 255, 255, ...bytes];
  return { text: `::ffff:${bytes.join('.')}/${bits + 96}`, bytes: long, bits: bits + 96 };
}

function headerCondition(name: string, { patterns }: ValueCondition): ConditionBounds {
  const input: MatchInput = { kind: 'header', name };
  if (name === RENAMED) return unknown('the header host is not what Envoy keeps');
  const plain = patterns.filter(({ text }) => new RegExp(`^${plainLine}$`, 'u').test(text));
  const regexes = plain.map(({ text }) => globRegex(text, `${PLAIN}+`));
  const values = regexes.length === 0 ? [] : [regexValue(input, regexes.join('|'))];
  const other = allOf([
    { kind: 'not', of: regexValue(input, plainLine) },
    regexValue(input, anyText),
  ]);
  return {
    sure: values[0],
    maybe: anyOf([...values, other]),
    why: 'values with commas, or that are not ASCII, are compared by Check',
  };
}

function tokenConditions(
  { issuer, claims = {} }: NonNullable<Conditions['jwt']>,
  { namespace, payloadKey }: RbacTerms['jwt'],
): readonly ConditionBounds[] {
  const claim = (name: string, match: Claim['match'], isContained: boolean): Claim => ({
    kind: 'claim',
    namespace,
    path: [payloadKey, name],
    match,
    isContained,
  });
  return [
    exactly(claim('iss', { kind: 'exact', text: issuer }, false)),
    ...Object.entries(claims).map(([name, { patterns, isContained }]) =>
      exactly(claim(name, claimMatch(patterns), isContained)),
    ),
  ];
}

type Claim = Extract<Predicate, { kind: 'claim' }>;

function claimMatch(patterns: ClaimCondition['patterns']): Claim['match'] {
  const [first, ...others] = patterns;
  if (others.length === 0 && first?.isExact === true) return { kind: 'exact', text: first.text };
  return { kind: 'regex', regex: patterns.map(textRegex).join('|') };
}
