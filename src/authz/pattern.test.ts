import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  parseGrpcPattern,
  parseHostPattern,
  parseIdPattern,
  parseMethod,
  parsePathPattern,
} from './parse-patterns.ts';
import { Pattern, type Separator, sampleOf } from './pattern.ts';

describe('paths', () => {
  it.each([
    ['/v1/**', '/v1', true],
    ['/v1/**', '/v1/', true],
    ['/v1/**', '/v1/a/b', true],
    ['/v1/**', '/v10', false],
    ['/**', '/', true],
    ['/v1/*', '/v1/', false],
    ['/v1/*', '/v1/a/b', false],
    ['/v1/*', '/v1/%c3%a9', true],
    ['/v1/a*', '/v1/a', false],
    ['/v1/a*c', '/v1/abcbc', true],
    ['/v1/{x}', '/v1/a', true],
    ['/v1/{x}', '/v1/', false],
    ['/v1', '/V1', false],
  ])('%s against %s: %s', (pattern, value, expected) => {
    expect(parsePathPattern(pattern).matches(value)).toBe(expected);
  });

  it.each([
    '',
    'v1',
    '/a/**/b',
    '/a**',
    '/***',
    '/a%20',
    '/a//b',
    '/../a',
    '/a?b',
    '/a;b',
    '/{a',
    '/x{a}',
    '/{A}',
  ])('refuses the pattern %s', (text) =>
    expect(() => parsePathPattern(text)).toThrow('the pattern'),
  );

  it('says where a query belongs', () =>
    expect(() => parsePathPattern('/v1/charges?x=1')).toThrow(
      'the pattern "/v1/charges?x=1" has "?"; the query stands beside the path, as query: { name: value }',
    ));
});

describe('hosts', () => {
  it.each([
    ['**.example', 'example', true],
    ['**.example', 'a.b.example', true],
    ['**.example', 'notexample', false],
    ['*.example', 'a.example', true],
    ['*.example', 'a.b.example', false],
    ['**', 'a.b', true],
  ])('%s against %s: %s', (pattern, value, expected) => {
    expect(parseHostPattern(pattern).matches(value)).toBe(expected);
  });

  it.each(['Example', 'a:80', 'a.', 'a.**', ''])('refuses the pattern %s', (text) =>
    expect(() => parseHostPattern(text)).toThrow('the pattern'),
  );
});

it.each(['spiffe://*.example/a', 'spiffe://a/b/', 'spiffe://A/b', 'a/b', 'spiffe://{td}/a'])(
  'refuses the ID pattern %s',
  (text) => expect(() => parseIdPattern(text)).toThrow('the pattern'),
);

it.each(['get', 'G T', ''])('refuses the method %s', (text) =>
  expect(() => parseMethod(text)).toThrow('is no method'),
);

it.each(['Service', 'a/b/c', 'a.B/c*', '/a.B/c'])('refuses the gRPC method %s', (text) =>
  expect(() => parseGrpcPattern(text)).toThrow('the pattern'),
);

it('captures whole segments, and a name twice only if it is the same', () => {
  const pattern = parsePathPattern('/{a}/x/{b}/**');
  expect(pattern.captures('/1/x/2/3')).toEqual(
    new Map([
      ['a', '1'],
      ['b', '2'],
    ]),
  );
  expect(parsePathPattern('/{a}/{a}').captures('/1/2')).toBeUndefined();
  expect(parseHostPattern('**.{a}.x').captures('p.q.r.x')).toEqual(new Map([['a', 'r']]));
});

/** The same, said with a regular expression. */
function oracle(text: string, separator: Separator): RegExp {
  const inner = separator === '' ? '[^]' : `[^${separator}]`;
  const segments = separator === '' ? [text] : text.split(separator);
  const parts = segments.map((segment) =>
    /^\{.*\}$/u.test(segment)
      ? `${inner}+`
      : segment.replaceAll(/[.*+?^${}()|[\]\\]/gu, (c) => (c === '*' ? `${inner}+` : `\\${c}`)),
  );
  if (separator === '/' && segments.at(-1) === '**')
    return new RegExp(`^${parts.slice(0, -1).join('/')}(?:/[^]*)?$`, 'u');
  if (separator === '.' && segments[0] === '**')
    return segments.length === 1
      ? /^[^]+$/u
      : new RegExp(`^(?:[^]*\\.)?${parts.slice(1).join('\\.')}$`, 'u');
  return new RegExp(`^${parts.join(separator === '.' ? '\\.' : separator)}$`, 'u');
}

const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 5 });
const segment = fc.oneof(
  letters.filter((text) => !text.includes('**')),
  fc.constantFrom('{x}', '{y}'),
);
const valueSegment = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 5 });

describe.each(['/', '.'] as const)('divided by %s', (separator) => {
  const patterns = fc
    .tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([parts, isOpen]) => {
      const open = separator === '.' ? ['**', ...parts] : [...parts, '**'];
      return (isOpen ? open : parts).join(separator);
    })
    .filter((text) => text !== '');
  const values = fc
    .array(valueSegment, { minLength: 1, maxLength: 5 })
    .map((parts) => parts.join(separator));

  it('matches what a regular expression matches', () => {
    fc.assert(
      fc.property(patterns, values, (text, value) => {
        const pattern = Pattern.parse(text, separator);
        expect(pattern.matches(value)).toBe(oracle(text, separator).test(value));
      }),
      { numRuns: 5_000 },
    );
  });

  it('matches its sample', () => {
    fc.assert(
      fc.property(patterns, (text) => {
        const pattern = Pattern.parse(text, separator);
        const isEmptyEnd = /^\*\*$/u.test(text);
        expect(isEmptyEnd || pattern.matches(sampleOf(pattern))).toBe(true);
      }),
    );
  });
});
