import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Pattern } from './pattern.ts';
import { labelsOf, noSegments, segmentsOf } from './pattern-shape.ts';
import { collectChildren, collectItems, type PatternTree } from './pattern-tree.ts';
import { PatternTreeBuilder } from './pattern-tree-builder.ts';

const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 3 });
const segment = fc.oneof(
  letters.filter((text) => !text.includes('**')),
  fc.constantFrom('{x}', '{y}'),
);
const valueSegment = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 3 });

/** A tree with one root, whose items are the places of the patterns. */
function treeOf(patterns: readonly Pattern[]): PatternTree {
  const builder = new PatternTreeBuilder(7);
  const root = builder.addRoot();
  for (const [at, pattern] of patterns.entries()) builder.addItem(builder.child(root, pattern), at);
  return builder.build();
}

function find(tree: PatternTree, value: string, separator: '/' | '.') {
  const nodes: number[] = [];
  const [path, host] =
    separator === '/' ? [segmentsOf(value), noSegments] : [noSegments, labelsOf(value)];
  const lookUps = collectChildren(tree, 0, path, host, nodes);
  const items: number[] = [];
  for (const node of nodes) collectItems(tree, node, items);
  return { items, lookUps };
}

describe.each(['/', '.'] as const)('patterns divided by %s', (separator) => {
  const pattern = fc
    .tuple(fc.array(segment, { minLength: 1, maxLength: 6 }), fc.boolean())
    .map(([parts, isOpen]) => {
      const open = separator === '.' ? ['**', ...parts] : [...parts, '**'];
      return (isOpen ? open : parts).join(separator);
    })
    .filter((text) => text !== '')
    .map((text) => Pattern.parse(text, separator));
  const value = fc
    .array(valueSegment, { minLength: 1, maxLength: 7 })
    .map((parts) => parts.join(separator));

  it('are found whenever they match, and with a bounded number of look-ups', () => {
    fc.assert(
      fc.property(fc.array(pattern, { maxLength: 60 }), value, (patterns, wanted) => {
        const { items, lookUps } = find(treeOf(patterns), wanted, separator);
        for (const [at, one] of patterns.entries())
          expect(!one.matches(wanted) || items.includes(at)).toBe(true);
        expect(lookUps).toBeLessThanOrEqual(16 + 9 + 1);
      }),
      { numRuns: 2_000 },
    );
  });
});

it('takes a few look-ups, whatever the patterns: 1,024 of other forms', () => {
  const forms = Array.from({ length: 1024 }, (_, bits) =>
    Array.from({ length: 10 }, (_, at) => (bits & (1 << at) ? '*' : 'a')),
  );
  const patterns = forms.map((parts) => Pattern.parse(`/${parts.join('/')}`, '/'));
  const { items, lookUps } = find(treeOf(patterns), `/${'a/'.repeat(9)}a`, '/');
  expect(new Set(items).size).toBe(1024);
  expect(lookUps).toBeLessThanOrEqual(16 + 9 + 1);
});

it('looks at the beginning of what has very many segments', () => {
  const long = (count: number) => `/${Array(count).fill('a').join('/')}`;
  const patterns = [`${long(40)}/**`, `${long(40)}/*`, long(40), `${long(39)}/*`];
  const tree = treeOf(patterns.map((text) => Pattern.parse(text, '/')));
  expect(find(tree, long(41), '/').items).toEqual(expect.arrayContaining([0, 1]));
  expect(find(tree, long(40), '/').items).toEqual(expect.arrayContaining([0, 2, 3]));
  expect(find(tree, long(100_000), '/').items).toContain(0);
});
