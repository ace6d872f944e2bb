import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { fixEnvoy, lintEnvoy } from '../../src/envoy/index.ts';
import { TrustplaneError } from '../../src/spiffe/index.ts';

const root = path.join(import.meta.dirname, '../..');
const files = globSync([
  path.join(root, 'envoy/*.yaml'),
  path.join(root, 'test/fixtures/envoy-lint/*.{yaml,json}'),
]).toSorted();
const texts = files.map((file) => readFileSync(file, 'utf8'));
const trees: unknown[] = texts.map((text) => parse(text));

/** Lints, fixes and lints again: finds something or refuses, and never fails otherwise. */
function attempt(text: string): 'found' | 'refused' {
  try {
    lintEnvoy([{ file: 'envoy.yaml', text }]);
  } catch (error) {
    if (error instanceof TrustplaneError) return 'refused';
    throw error;
  }
  const [fixed] = fixEnvoy([{ file: 'envoy.yaml', text }]).texts;
  const { findings } = lintEnvoy([fixed ?? { file: '', text: '' }]);
  for (const { line, column } of findings) expect(Math.min(line, column)).toBeGreaterThan(0);
  return 'found';
}

interface Step {
  readonly holder: object;
  readonly key: string;
}

/** Every place in a tree where another value could stand. */
function placesIn(tree: unknown): Step[] {
  if (tree === null || typeof tree !== 'object') return [];
  return Object.entries(tree).flatMap(([key, value]: [string, unknown]) => [
    { holder: tree, key },
    ...placesIn(value),
  ]);
}

const strange = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -1,
    1e300,
    '',
    '*',
    '0s',
    '-1s',
    'V3',
    '%PATH%',
    [],
    {},
    [[]],
    [{}],
    [null],
    { '@type': 7 },
    { '@type': 'x' },
    { value: {} },
    { name: [] },
  ),
  fc.jsonValue({ maxDepth: 3 }),
);

describe('configurations that are none', () => {
  it('with values of other types anywhere are looked at, and never fail', () => {
    let found = 0;
    fc.assert(
      fc.property(
        fc.nat(trees.length - 1),
        fc.array(fc.tuple(fc.nat(), strange, fc.constantFrom('set', 'remove', 'swap')), {
          minLength: 1,
          maxLength: 6,
        }),
        fc.boolean(),
        (index, changes, isJson) => {
          const tree: unknown = structuredClone(trees[index]);
          for (const [where, value, how] of changes) {
            const places = placesIn(tree);
            const place = places[where % places.length];
            const other = places[(where * 7 + 3) % places.length];
            if (place === undefined || other === undefined) continue;
            if (how === 'remove') Reflect.deleteProperty(place.holder, place.key);
            else
              Reflect.set(
                place.holder,
                place.key,
                how === 'set'
                  ? value
                  : structuredClone(Reflect.get(other.holder, other.key) as unknown),
              );
          }
          const text = isJson ? JSON.stringify(tree) : stringify(tree);
          if (attempt(text) === 'found') found++;
        },
      ),
      { numRuns: 200 },
    );
    expect(found).toBeGreaterThan(150);
  });

  it('with lines cut, doubled and moved are looked at or refused', () => {
    fc.assert(
      fc.property(
        fc.nat(texts.length - 1),
        fc.array(fc.tuple(fc.nat(), fc.nat(12), fc.constantFrom('cut', 'double', 'indent')), {
          minLength: 1,
          maxLength: 4,
        }),
        (index, changes) => {
          let lines = (texts[index] ?? '').split('\n');
          for (const [where, count, how] of changes) {
            const at = where % lines.length;
            const some = lines.slice(at, at + count);
            const put =
              how === 'cut'
                ? []
                : how === 'double'
                  ? [...some, ...some]
                  : some.map((l) => `  ${l}`);
            lines = [...lines.slice(0, at), ...put, ...lines.slice(at + count)];
          }
          expect(['found', 'refused']).toContain(attempt(lines.join('\n')));
        },
      ),
      { numRuns: 150 },
    );
  });

  it('of any bytes are refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        expect(attempt(text)).toBe('refused');
      }),
      { numRuns: 150 },
    );
  });
});
