import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatJson } from '../../src/spiffe/format-json.ts';
import { type JsonValue, parseJson } from '../../src/spiffe/json.ts';
import { attempt } from './attempt.ts';

/** What JSON.parse would have made of it. */
function plain(value: JsonValue): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([name, member]) => [name, plain(member)]));
  }
  return Array.isArray(value) ? value.map(plain) : value;
}

const punctuation = ['{', '}', '[', ']', ',', ':', ' ', '"', '\\', '\n', '\u00a0'];
const scalars = ['"a"', '"b"', '"\\u00e9"', '"\\ud800"', '1', '-0', '1e3', '1.5', 'true', 'null'];
const oddities = ['9007199254740993', '0x1', "'a'", '+1', '01', 'NaN'];
const tokens = fc
  .array(fc.constantFrom(...punctuation, ...scalars, ...oddities), { maxLength: 10 })
  .map((parts) => parts.join(''));

describe('parseJson under arbitrary text', () => {
  it('reads every JSON value as JSON.parse does', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 6 }),
        fc.integer({ min: 0, max: 4 }),
        (value, indent) => {
          const text = JSON.stringify(value, null, indent);
          expect(plain(parseJson(text))).toEqual(JSON.parse(text));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('accepts nothing that JSON.parse refuses, and understands it in the same way', () => {
    fc.assert(
      fc.property(fc.oneof(tokens, fc.string({ unit: 'binary' })), (text) => {
        const value = attempt(() => parseJson(text));
        expect(value === undefined ? 'refused' : plain(value)).toEqual(
          value === undefined ? 'refused' : JSON.parse(text),
        );
      }),
      { numRuns: 5000 },
    );
  });

  it('reads back what it writes, large integers included', () => {
    const { value } = fc.letrec<{ value: JsonValue }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom(null, true, false),
        fc.maxSafeInteger().filter((number) => !Object.is(number, -0)),
        fc.bigInt({ min: 2n ** 53n, max: 2n ** 200n }),
        fc.string({ unit: 'grapheme' }),
        fc.array(tie('value'), { maxLength: 4 }),
        fc
          .array(fc.tuple(fc.string({ unit: 'grapheme' }), tie('value')), { maxLength: 4 })
          .map((members) => new Map(members)),
      ),
    }));
    fc.assert(
      fc.property(value, fc.constantFrom(0, 2), (value, indent) => {
        expect(parseJson(formatJson(value, indent))).toEqual(value);
      }),
      { numRuns: 1000 },
    );
  });

  it('understands arbitrary bytes as JSON.parse does, or refuses them in the way it may', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const value = attempt(() => parseJson(bytes));
        const expected =
          value === undefined ? undefined : JSON.parse(Buffer.from(bytes).toString());
        expect(value === undefined ? undefined : plain(value)).toEqual(expected);
      }),
      { numRuns: 3000 },
    );
  });
});
