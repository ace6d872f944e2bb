import { describe, expect, it } from 'vitest';
import { formatJson } from './format-json.ts';
import { parseJson } from './json.ts';

const malformed = (why: string) =>
  expect.objectContaining({ code: 'ERR_JSON', message: expect.stringContaining(why) });

describe('parseJson', () => {
  it.each(['null', 'true', '-0.5e-3', '"a\\"\\u00e9\\ud83d\\ude00\\n"', '[]', '[1,[2,"x"],false]'])(
    'reads %s as JSON.parse does',
    (text) => expect(parseJson(` \t\r\n${text} `)).toEqual(JSON.parse(text)),
  );

  it('reads objects into maps, in which no name is special', () => {
    expect(parseJson('{"__proto__":{"a":1},"b":[]}')).toEqual(
      new Map<string, unknown>([
        ['__proto__', new Map([['a', 1]])],
        ['b', []],
      ]),
    );
  });

  it('keeps integers beyond 2^53 exact (BUNDLE-4)', () => {
    expect(parseJson('[9007199254740991, 9007199254740993, -9007199254740993]')).toEqual([
      9007199254740991,
      9007199254740993n,
      -9007199254740993n,
    ]);
    expect(parseJson('18446744073709551616')).toBe(2n ** 64n);
  });

  it.each([
    ['', '1:1: expected a JSON value'],
    ['{"a":1,\n  "a":2}', '2:3: duplicate member name "a"'],
    ['{"a":1,"\\u0061":2}', '1:8: duplicate member name "a"'],
    ['{a:1}', 'expected a member name in quotes'],
    ['{"a":1,}', 'expected a member name in quotes'],
    ['{"a" 1}', 'expected ":"'],
    ['{"a":1', 'expected "," or "}"'],
    ['[1 2]', 'expected "," or "]"'],
    ['[1,]', 'expected a JSON value'],
    ['01', 'expected the end of the text'],
    ['+1', 'expected a JSON value'],
    ['.5', 'expected a JSON value'],
    ['NaN', 'expected a JSON value'],
    ['1e999', 'a number out of range'],
    ['9'.repeat(257), 'a number of more than 256 characters'],
    ['"a', '1:1: a string without closing quote'],
    ['"a\nb"', 'a control character'],
    ['"\\x41"', 'unknown escape'],
    ['"\\u12g4"', 'unknown escape'],
    ['"\\ud800"', 'lone surrogate'],
    ['\ufeff1', 'expected a JSON value'],
    ['1 // x', 'expected the end of the text'],
    ['\u00a01', 'expected a JSON value'],
  ])('refuses %j: %s', (text, why) => {
    expect(() => parseJson(text)).toThrow(malformed(why));
  });

  it('refuses bytes that are not UTF-8, and a byte order mark', () => {
    expect(() => parseJson(Buffer.from([0x22, 0xff, 0x22]))).toThrow(malformed('not UTF-8'));
    expect(() => parseJson(Buffer.from('\ufeff1'))).toThrow(malformed('1:1'));
  });

  it('bounds size and depth', () => {
    expect(() => parseJson('"éé"', { maxBytes: 5 })).toThrow(malformed('has 6 bytes; at most 5'));
    expect(() => parseJson('['.repeat(100_000))).toThrow(malformed('nested over 32 levels'));
    expect(parseJson('[[1]]', { maxDepth: 2 })).toEqual([[1]]);
    expect(() => parseJson('[[[1]]]', { maxDepth: 2 })).toThrow(malformed('nested over 2'));
  });
});

describe('formatJson', () => {
  it('writes maps, objects and bigints, compact or indented', () => {
    const value = { a: 2n ** 64n, b: new Map([['c', [1, 'x']]]), d: undefined, e: {}, f: [] };
    expect(formatJson(value)).toBe('{"a":18446744073709551616,"b":{"c":[1,"x"]},"e":{},"f":[]}');
    expect(formatJson({ a: [1, { b: 2 }] }, 2)).toBe(JSON.stringify({ a: [1, { b: 2 }] }, null, 2));
  });
});
