import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parseStrictYaml } from '../../src/ops/index.ts';
import { readPlainYaml } from '../../src/ops/plain-yaml.ts';
import { attempt } from './attempt.ts';

const oneOf = (texts: string): fc.Arbitrary<string> => fc.constantFrom(...texts.split(';'));
const words = oneOf(
  "a;spiffe://a/ns/*/sa/x;GET /v1/**;/t/{t}/x;10.0.0.0/8;12:30;$set;;a b;it's;x#y;a, b;a [b];a:b;ends:;x - y;true;1;café",
);
const odd = oneOf(
  'null;True;~;012;1e5;0x1f;.5;-;1_000;x #y;: ;a: b;!x;&a;*a;<<;a "q";\u2003a\u2003;\u0085;1234567890123456789;? a;---',
);
const keys = fc.constantFrom('a', 'b', 'rules', 'id', 'source.ip', 'x-y', 'a b', '_x');
const oddKeys = fc.constantFrom('1', 'true', 'null', '__proto__', 'constructor', '<<', '');

function documents(key: fc.Arbitrary<string>, text: fc.Arbitrary<string>): fc.Arbitrary<object> {
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      text,
      fc.nat(),
      fc.boolean(),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));
  return fc.dictionary(key, value, { minKeys: 1, maxKeys: 4, noNullPrototype: true });
}

const plain = documents(keys, words);
const any = documents(fc.oneof(keys, oddKeys), fc.oneof(words, odd));
const writers = fc.oneof(
  fc.constantFrom(0, 2).map((indent) => (value: object) => JSON.stringify(value, null, indent)),
  fc
    .record({
      indent: fc.constantFrom(2, 4),
      indentSeq: fc.boolean(),
      lineWidth: fc.constantFrom(0, 40),
      collectionStyle: fc.constantFrom('any', 'flow', 'block'),
      defaultStringType: fc.constantFrom('PLAIN', 'QUOTE_DOUBLE', 'QUOTE_SINGLE'),
    })
    .map((style) => (value: object) => stringify(value, style)),
);
const edits = fc.array(
  fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    isCut: fc.boolean(),
    text: oneOf(
      ' ;\n;- ;:;: ;,;[;];{;};";\';#; #;\n  # c\n;---\n;\n...;&a ;*a;!;|;>;%;? ;\\;0;\t;~;\n ;a: ;"a":;<<: ;\u00a0;\u2003;\r;\ufeff',
    ),
  }),
  { maxLength: 2 },
);

/** With an environment all is read by the library; there are no variables here. */
const whole = (text: string) => attempt(() => parseStrictYaml(text, 'f', {}).value);

describe('what is plainly written', () => {
  it('is what the library of YAML reads, or left to it', () => {
    fc.assert(
      fc.property(fc.oneof(plain, any), writers, edits, (value, write, changes) => {
        let text = write(value);
        for (const { at, isCut, text: what } of changes) {
          const index = Math.floor(at * text.length);
          text = text.slice(0, index) + (isCut ? '' : what) + text.slice(index + (isCut ? 1 : 0));
        }
        const read = readPlainYaml(text);
        const expected = read === undefined ? undefined : JSON.stringify(whole(text));
        expect(read && JSON.stringify(read.value)).toBe(expected);
      }),
      { numRuns: 4000 },
    );
  });

  it('is read without the library', () => {
    fc.assert(
      fc.property(
        documents(oneOf('a;id;source.ip;x-y'), oneOf('a;GET /v1/**;10.0.0.0/8')),
        (value) => {
          expect(readPlainYaml(JSON.stringify(value))).toEqual({ value });
          expect(
            readPlainYaml(stringify(value, { collectionStyle: 'flow', lineWidth: 0 })),
          ).toEqual({ value });
        },
      ),
    );
  });
});
