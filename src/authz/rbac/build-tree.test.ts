import { expect, it } from 'vitest';
import { Pattern } from '../pattern.ts';
import { buildList, buildTree } from './build-tree.ts';
import { type Clause, keyMatchesOf } from './clause.ts';
import { evaluateMatcher } from './evaluate-matcher.ts';
import type { Matcher } from './matcher.ts';

const COUNT = 600;

function clauseOf(name: string, ids: readonly string[], paths: readonly string[]): Clause {
  const matchesOf = (texts: readonly string[]): Clause['id'] =>
    keyMatchesOf(texts.map((text) => Pattern.parse(text, '/')));
  return { name, id: matchesOf(ids), path: matchesOf(paths), method: undefined, conditions: [] };
}

function clausesOf(
  make: (at: number) => readonly [ids: readonly string[], paths: readonly string[]],
): Clause[] {
  return Array.from({ length: COUNT }, (_, at) => clauseOf(`r${at}`, ...make(at)));
}

function nameOf(tree: Matcher | undefined, uriSan: string, path: string): string | undefined {
  return tree && evaluateMatcher(tree, { uriSan, path, isMtls: true })?.name;
}

/** How many entries the longest list has. */
function longestList(matcher: Matcher | undefined): number {
  if (matcher === undefined || matcher.kind === 'action') return 0;
  const below =
    matcher.kind === 'map'
      ? [...matcher.entries.values()]
      : matcher.entries.map(({ then }) => then);
  const own = matcher.kind === 'list' ? matcher.entries.length : 0;
  return Math.max(own, ...[...below, matcher.otherwise].map(longestList));
}

it('tries few of many globs that begin alike, and finds each', () => {
  const tree = buildTree(
    clausesOf((at) => [[`spiffe://a/ns/*/sa/role${at}`], ['/v1/**']]),
    'ALLOW',
  );
  for (let at = 0; at < COUNT; at += 7)
    expect(nameOf(tree, `spiffe://a/ns/x/sa/role${at}`, '/v1/x')).toBe(`r${at}`);
  for (const id of [`role${COUNT}`, 'role', 'y/role1'])
    expect(nameOf(tree, `spiffe://a/ns/x/sa/${id}`, '/v1/x')).toBeUndefined();
  expect(longestList(tree)).toBeLessThanOrEqual(8);
});

it('asks for the path first where that tells more', () => {
  const tree = buildTree(
    clausesOf((at) => [[`spiffe://a/ns/*/sa/role${at}`], [`/v1/${at}/**`]]),
    'ALLOW',
  );
  expect(tree).toMatchObject({ kind: 'map', by: 'exact', input: { kind: 'path' } });
  expect(nameOf(tree, 'spiffe://a/ns/x/sa/role5', '/v1/5/y')).toBe('r5');
  expect(nameOf(tree, 'spiffe://a/ns/x/sa/role5', '/v1/6/y')).toBeUndefined();
});

it('goes on where a nearer place has no result', () => {
  const tree = buildTree(
    [
      ...clausesOf((at) => [[`spiffe://a/ns/x/sa/s${at}`], ['/v1/x']]),
      clauseOf('near', ['spiffe://a/ns/x/**'], ['/v2/*']),
      clauseOf('far', ['spiffe://a/**'], ['/v3/*/y', '/v2/**']),
    ],
    'ALLOW',
  );
  expect(nameOf(tree, 'spiffe://a/ns/x/sa/s1', '/v1/x')).toBe('r1');
  expect(nameOf(tree, 'spiffe://a/ns/x/sa/s1', '/v2/x')).toBe('near');
  expect(nameOf(tree, 'spiffe://a/ns/x/sa/s1', '/v2/x/y')).toBe('far');
  expect(nameOf(tree, 'spiffe://a/ns/x/sa/s1', '/v3/x/y')).toBe('far');
  expect(nameOf(tree, 'spiffe://b/ns/x/sa/s1', '/v3/x/y')).toBeUndefined();
});

it('has a long list of callers once, however many paths they share', () => {
  const members = Array.from({ length: 500 }, (_, at) => `spiffe://a/team/member-${at}`);
  const tree = buildTree(
    clausesOf((at) => [members, [`/v1/${at}`]]),
    'ALLOW',
  );
  const text = JSON.stringify(tree, (_, value: unknown) =>
    value instanceof Map ? [...value] : value,
  );
  expect(text.match(/member-/gu)).toHaveLength(members.length);
  expect(nameOf(tree, 'spiffe://a/team/member-499', '/v1/77')).toBe('r77');
  expect(nameOf(tree, 'spiffe://a/team/member-500', '/v1/77')).toBeUndefined();
});

it('is one list where Envoy does not go on', () => {
  const clauses = clausesOf((at) => [[`spiffe://a/ns/*/sa/s${at}`], [`/v1/${at}`]]);
  const list = buildList(clauses, 'DENY');
  expect(list).toMatchObject({ kind: 'list', otherwise: undefined });
  expect(list?.kind === 'list' && list.entries.every(({ then }) => then.kind === 'action')).toBe(
    true,
  );
  expect(nameOf(list, 'spiffe://a/ns/x/sa/s9', '/v1/9')).toBe('r9');
});

it('of no clauses is none, and of one that asks for nothing that one', () => {
  const all = { name: 'all', id: undefined, path: undefined, method: undefined, conditions: [] };
  expect(buildTree([], 'ALLOW')).toBeUndefined();
  expect(buildTree([all], 'ALLOW')).toEqual({ kind: 'action', name: 'all', action: 'ALLOW' });
});
