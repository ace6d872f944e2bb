import { expandIds } from '../find-contradictions.ts';
import type { Pattern } from '../pattern.ts';
import type { Operation, Policy, PolicyRule } from '../policy.ts';
import type { Branch, CallerTest, ListTest, SegmentRef } from './branch.ts';
import { globMachine, grpcMachine, literalMachine } from './machine.ts';
import { hostKind, idKind, pathKind, type ValueKind } from './value-cells.ts';

/** The ways to match a rule, without their numbers. */
export type Way = Omit<Branch, 'number' | 'rule' | 'percent'>;

const anyPath = pathKind(false);
const CAPTURE = /^\{(.*)\}$/u;

/** The ways to match a rule: one for each operation and, where captures must be equal, for each way to have them. */
export function waysOf(rule: PolicyRule, sets: Policy['sets']): Way[] {
  const isAllow = rule.allow !== undefined;
  const caller = callerTest(rule, sets, isAllow);
  return (rule.allow ?? rule.deny ?? []).flatMap((operation) =>
    splitByCaptures({ ...wayOf(operation, rule.when, isAllow), caller }),
  );
}

/** What is done, whoever does it. */
export function wayOf(operation: Operation, when: PolicyRule['when'], isAllow: boolean): Way {
  const lists = listTests(operation, when, isAllow);
  const { methods, paths, hosts, ports } = operation;
  const isHttp = [methods, paths, hosts].some((one) => one !== undefined);
  return {
    needsHttp: isHttp || lists.size > 0,
    caller: undefined,
    methods,
    paths:
      paths?.some(({ text }) => text === '/**') === true &&
      !paths.some(({ text }) => text.includes('{'))
        ? undefined
        : paths,
    hosts,
    ports,
    sourceIp: when?.['source.ip'],
    destinationIp: when?.['destination.ip'],
    from: when?.time?.from,
    until: when?.time?.until,
    lists,
    equal: [],
  };
}

function callerTest(
  { from }: PolicyRule,
  sets: Policy['sets'],
  isAllow: boolean,
): CallerTest | undefined {
  if (from === 'anyone') return undefined;
  const given = from === 'authenticated' ? undefined : from;
  return {
    ids: given && expandIds(given.ids, sets),
    except: expandIds(given?.except ?? [], sets),
    credentials: given?.credentials ?? (isAllow ? ['x509-svid'] : ['x509-svid', 'jwt-svid']),
    isOutside: false,
  };
}

function listTests(
  { query = {}, isGrpc }: Operation,
  when: PolicyRule['when'],
  isAllow: boolean,
): Map<string, ListTest[]> {
  const tests = new Map<string, ListTest[]>();
  const add = (key: string, test: ListTest): void => {
    tests.set(key, [...(tests.get(key) ?? []), test]);
  };
  const globs = (patterns: readonly Pattern[]) => patterns.map(({ text }) => globMachine(text));
  const needs = isAllow ? 'every' : 'some';
  if (isGrpc === true && isAllow) add('header content-type', { machines: [grpcMachine], needs });
  for (const [key, patterns] of Object.entries(query))
    add(`query ${key}`, { machines: globs(patterns), needs });
  for (const [name, { patterns, values }] of Object.entries(when?.headers ?? {}))
    add(`header ${name}`, { machines: globs(patterns), needs: values ?? needs });
  if (when?.jwt === undefined) return tests;
  add('claim iss', { machines: [literalMachine(when.jwt.issuer)], needs: 'text' });
  for (const [name, { patterns, isContained }] of Object.entries(when.jwt.claims ?? {}))
    add(`claim ${name}`, { machines: globs(patterns), needs: isContained ? 'member' : 'text' });
  return tests;
}

/** Captures that no other capture of the rule is named like say nothing about what matches. */
function splitByCaptures(way: Way): Way[] {
  const patterns = [...(way.caller?.ids ?? []), ...(way.paths ?? []), ...(way.hosts ?? [])];
  if (!patterns.some(({ text }) => text.includes('{'))) return [way];
  const callers = bySignature('caller', idKind, way.caller?.ids);
  const paths = bySignature('path', anyPath, way.paths);
  const hosts = bySignature('host', hostKind, way.hosts);
  const ways = callers.flatMap((caller) =>
    paths.flatMap((path) => hosts.map((host) => ({ caller, path, host }))),
  );
  if (ways.length === 1 && ways.every((one) => groupsOf(one).length === 0)) return [way];
  return ways.map((one) => ({
    ...way,
    caller: way.caller && { ...way.caller, ids: one.caller.patterns },
    paths: one.path.patterns,
    hosts: one.host.patterns,
    equal: groupsOf(one),
  }));
}

interface Signed {
  readonly captures: readonly (readonly [name: string, ref: SegmentRef])[];
  readonly patterns: readonly Pattern[] | undefined;
}

/** Patterns whose captures stand at the same places. */
function bySignature(
  field: SegmentRef['field'],
  kind: ValueKind,
  patterns: readonly Pattern[] | undefined,
): Signed[] {
  if (patterns === undefined) return [{ captures: [], patterns }];
  const capturesIn = (pattern: Pattern): Signed['captures'] =>
    pattern.captureNames.length === 0
      ? []
      : kind.segmentsOf(pattern).flatMap((segment, depth) => {
          const name = CAPTURE.exec(segment)?.[1];
          return name === undefined ? [] : [[name, { field, depth }] as const];
        });
  const groups = Map.groupBy(patterns, (pattern) => JSON.stringify(capturesIn(pattern)));
  return [...groups.values()].map((group) => ({
    captures: group[0] === undefined ? [] : capturesIn(group[0]),
    patterns: group,
  }));
}

function groupsOf({
  caller,
  path,
  host,
}: Record<'caller' | 'path' | 'host', Signed>): SegmentRef[][] {
  const all = [...caller.captures, ...path.captures, ...host.captures];
  const groups = Map.groupBy(all, ([name]) => name);
  return [...groups.values()]
    .filter((group) => group.length > 1)
    .map((group) => group.map(([, ref]) => ref));
}
