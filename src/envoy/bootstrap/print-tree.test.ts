import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { note, plainTree, Shared, type Tree, type TreeMap } from './commented-tree.ts';
import { printTree } from './print-tree.ts';

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    'true',
    'No',
    'null',
    '~',
    '0x1',
    '1e3',
    '0.1s',
    '1:2',
    '- a',
    '# b',
    '*a',
    '&a',
    'a: b',
    '',
  ),
);
const scalar = fc.oneof(text, fc.boolean(), fc.integer());
const { tree } = fc.letrec<{ tree: Tree; map: TreeMap }>((tie) => ({
  map: fc.dictionary(
    text.filter((key) => key !== '__proto__'),
    tie('tree'),
    { minKeys: 1, maxKeys: 5, noNullPrototype: true },
  ),
  tree: fc.oneof(
    { depthSize: 'small' },
    scalar,
    tie('map'),
    fc.array(scalar, { maxLength: 4 }),
    fc.array(tie('map'), { minLength: 1, maxLength: 3 }),
    fc.tuple(fc.lorem(), tie('map')).map(([why, value]) => note(why, value)),
  ),
}));

it('prints what YAML reads as the same value, whatever texts are in it', () => {
  fc.assert(
    fc.property(fc.array(tree, { minLength: 1, maxLength: 4 }), (values) => {
      const map = Object.fromEntries(values.map((value, at) => [`k${at}`, value]));
      expect(parse(printTree(map))).toEqual(JSON.parse(JSON.stringify(plainTree(map))));
    }),
  );
});

it('puts a comment before its key or its dash, and says a shared part once', () => {
  const source = new Shared('one', 'Said once.', { a: note('Why a.', 1) });
  const items = [note('Why this item.', { name: note('Why its name.', 'x'), source }), { source }];
  expect(
    printTree({ items, more: undefined, last: note('At the end.', ['a', 'b c']) }),
  ).toBe(`items:
  # Why this item.
  # Why its name.
  - name: x
    # Said once.
    source: &one
      # Why a.
      a: 1
  - source: *one

# At the end.
last: [a, "b c"]
`);
});

it('keeps comments within 100 columns', () => {
  const lines = printTree({ a: { b: note('word '.repeat(60).trim(), 1) } }).split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
});
