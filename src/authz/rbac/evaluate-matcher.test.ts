import { describe, expect, it } from 'vitest';
import { parseIpRange } from '../ip-range.ts';
import { evaluateMatcher, type MatchFacts } from './evaluate-matcher.ts';
import type { Matcher, MatchInput, Predicate, ValueMatch } from './matcher.ts';

const uriSan: MatchInput = { kind: 'uri-san' };
const path: MatchInput = { kind: 'path' };

const allow = (name: string): Matcher => ({ kind: 'action', name, action: 'ALLOW' });
const map = (
  by: 'exact' | 'prefix',
  input: MatchInput,
  entries: Readonly<Record<string, Matcher>>,
  otherwise?: Matcher,
): Matcher => ({ kind: 'map', by, input, entries: new Map(Object.entries(entries)), otherwise });
const list = (
  entries: readonly (readonly [Predicate, Matcher])[],
  otherwise?: Matcher,
): Matcher => ({
  kind: 'list',
  entries: entries.map(([when, then]) => ({ when, then })),
  otherwise,
});
const value = (input: MatchInput, match: ValueMatch): Predicate => ({
  kind: 'value',
  input,
  match,
});
const exact = (text: string): ValueMatch => ({ kind: 'exact', text });

const resultOf = (matcher: Matcher, facts: Partial<MatchFacts>): string | undefined =>
  evaluateMatcher(matcher, { isMtls: true, ...facts })?.name;
const isTrue = (predicate: Predicate, facts: Partial<MatchFacts>): boolean =>
  resultOf(list([[predicate, allow('yes')]]), facts) === 'yes';

describe('evaluateMatcher goes on behind a part without result', () => {
  const miss = map('exact', path, { '/other': allow('other') });

  it('to the next entry of a list', () => {
    const any = value(path, { kind: 'prefix', text: '/' });
    const tree = list([
      [any, miss],
      [any, allow('second')],
    ]);
    expect(resultOf(tree, { path: '/x' })).toBe('second');
  });

  it('to a shorter prefix, the longest first', () => {
    const tree = map('prefix', path, { '/a/': allow('short'), '/a/b/': miss });
    expect(resultOf(tree, { path: '/a/b/c' })).toBe('short');
    const both = map('prefix', path, { '/a/': allow('short'), '/a/b/': allow('long') });
    expect(resultOf(both, { path: '/a/b/c' })).toBe('long');
  });

  it('to what is otherwise, of an exact map too', () => {
    for (const by of ['exact', 'prefix'] as const)
      expect(resultOf(map(by, path, { '/x': miss }, allow('rest')), { path: '/x' })).toBe('rest');
  });

  it('and comes to nothing where nothing is otherwise', () => {
    expect(resultOf(miss, { path: '/x' })).toBeUndefined();
    expect(resultOf(map('exact', path, {}, miss), { path: '/x' })).toBeUndefined();
  });
});

describe('a missing value', () => {
  it('is a miss of a map, and holds in a predicate only under not', () => {
    expect(resultOf(map('prefix', uriSan, { '': allow('any') }, allow('rest')), {})).toBe('rest');
    expect(isTrue(value(uriSan, { kind: 'regex', regex: '.*' }), {})).toBe(false);
    expect(isTrue({ kind: 'not', of: value(uriSan, exact('x')) }, {})).toBe(true);
  });

  it('is not an empty value', () => {
    const header = { kind: 'header', name: 'x-empty' } as const;
    expect(isTrue(value(header, exact('')), { headers: new Map([['x-empty', '']]) })).toBe(true);
    expect(isTrue(value(header, exact('')), {})).toBe(false);
  });
});

describe('values', () => {
  it('match whole by a regex, and ignore the case of ASCII letters alone', () => {
    expect(isTrue(value(path, { kind: 'regex', regex: 'a|/b' }), { path: '/b' })).toBe(true);
    expect(isTrue(value(path, { kind: 'regex', regex: '/b|a' }), { path: '/b/c' })).toBe(false);
    const get = value(
      { kind: 'header', name: ':method' },
      {
        kind: 'exact',
        text: 'k',
        ignoreCase: true,
      },
    );
    expect(isTrue(get, { headers: new Map([[':method', 'K']]) })).toBe(true);
    expect(isTrue(get, { headers: new Map([[':method', '\u212a']]) })).toBe(false);
  });

  it('match addresses by ranges', () => {
    const inside = value(
      { kind: 'source-ip' },
      { kind: 'ip', ranges: [parseIpRange('10.8.0.0/16'), parseIpRange('fd00::/8')] },
    );
    expect(isTrue(inside, { sourceIp: '10.8.3.4' })).toBe(true);
    expect(isTrue(inside, { sourceIp: 'fd12::1' })).toBe(true);
    expect(isTrue(inside, { sourceIp: '10.9.3.4' })).toBe(false);
    expect(isTrue(inside, { sourceIp: 'pipe' })).toBe(false);
  });

  it('match claims, of lists one member', () => {
    const claim = (isContained: boolean): Predicate => ({
      kind: 'claim',
      namespace: 'jwt',
      path: ['payload', 'groups'],
      match: exact('ops'),
      isContained,
    });
    const facts = (groups: unknown) => ({ metadata: { jwt: { payload: { groups } } } });
    expect(isTrue(claim(true), facts(['dev', 'ops']))).toBe(true);
    expect(isTrue(claim(true), facts('ops'))).toBe(false);
    expect(isTrue(claim(false), facts('ops'))).toBe(true);
    expect(isTrue(claim(false), facts(['ops']))).toBe(false);
    expect(isTrue(claim(false), {})).toBe(false);
  });

  it('tell who has shown no certificate', () => {
    expect(isTrue({ kind: 'no-client-certificate' }, { isMtls: false })).toBe(true);
    expect(isTrue({ kind: 'no-client-certificate' }, { isMtls: true })).toBe(false);
  });
});
