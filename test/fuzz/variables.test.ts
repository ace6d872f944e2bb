import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseStrictYaml } from '../../src/ops/index.ts';
import { TrustplaneError } from '../../src/spiffe/index.ts';

const attempt = (parse: () => unknown): unknown => {
  try {
    return parse();
  } catch (error) {
    return error;
  }
};
const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/u);
const environment = fc.dictionary(name, fc.string({ unit: 'binary', maxLength: 20 }));

describe('variables in a file', () => {
  it('stand for exactly their values in quotes, and can add no structure', () => {
    fc.assert(
      fc.property(environment, (env) => {
        const names = Object.keys(env);
        const text = names.map((each, index) => `k${index}: "<\${${each}}>"`).join('\n');
        const { value } = parseStrictYaml(text === '' ? '{}' : text, 'c.yaml', env);
        expect(value).toEqual(
          Object.fromEntries(names.map((each, index) => [`k${index}`, `<${env[each]}>`])),
        );
      }),
    );
  });

  it('without quotes are a text, a number or a truth, never more', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 30 }), (given) => {
        const { value } = parseStrictYaml('a: ${X}', 'c.yaml', { X: given });
        const read: unknown = Reflect.get(Object(value), 'a');
        const isPlain = typeof read === 'number' || typeof read === 'boolean';
        expect(isPlain || read === given).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('are replaced, or refused with a place, in any text', () => {
    const part = fc.constantFrom(
      '$',
      '{',
      '}',
      'X',
      ':-',
      ' ',
      '\n',
      'a: ',
      '"',
      "'",
      '#',
      '[',
      '$$',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const outcome = attempt(() => parseStrictYaml(parts.join(''), 'c.yaml', { X: 'x' }));
        const isRefused = outcome instanceof TrustplaneError && outcome.code === 'ERR_YAML';
        const hasPlace = isRefused && /^c\.yaml:\d+:\d+: /u.test(outcome.message);
        expect(!(outcome instanceof Error) || hasPlace).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });
});
