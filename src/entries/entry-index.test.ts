import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { testEntry } from '../../test/fakes/test-entries.ts';
import {
  formatSelector,
  parseSelector,
  type RegistrationEntry,
  SelectorSet,
} from '../spiffe/index.ts';
import { EntryIndex } from './entry-index.ts';

const base = testEntry('base');
const COUNT = 100_000;

function entryOf(id: string, ...selectors: string[]): RegistrationEntry {
  return { ...base, id, selectors: selectors.map(parseSelector) };
}
const setOf = (...texts: string[]) => SelectorSet.of(texts.map(parseSelector));

function checksOf(index: EntryIndex, selectors: SelectorSet): { ids: string[]; checks: number } {
  const before = index.checks;
  const ids = index.match(selectors).map((entry) => entry.id);
  return { ids, checks: index.checks - before };
}

describe('EntryIndex among 100,000 entries', () => {
  it('looks at one candidate when all share one selector and differ in another', () => {
    const index = new EntryIndex();
    for (let i = 0; i < COUNT; i++) index.add(entryOf(`e${i}`, 'k8s:cluster:x', `unix:uid:${i}`));
    index.match(setOf('k8s:cluster:x', 'unix:uid:1'));
    const found = checksOf(index, setOf('k8s:cluster:x', 'unix:uid:77777', 'unix:gid:5'));
    expect(found.ids).toEqual(['e77777']);
    expect(found.checks).toBeLessThan(100);
    expect(checksOf(index, setOf('k8s:cluster:x')).checks).toBeLessThan(100);
  });

  it('looks at one candidate when all have the same two selectors and the workload shows one', () => {
    const index = new EntryIndex();
    for (let i = 0; i < COUNT; i++) index.add(entryOf(`e${i}`, 'unix:uid:1', 'unix:gid:1'));
    for (const text of ['unix:uid:1', 'unix:gid:1']) {
      expect(checksOf(index, setOf(text)).checks).toBeLessThanOrEqual(1);
    }
    expect(checksOf(index, setOf('unix:uid:1', 'unix:gid:1')).ids).toHaveLength(COUNT);
  });

  it('puts a long list in order once its members are rarer elsewhere', () => {
    const index = new EntryIndex();
    const n = 100;
    const crowd = Array.from({ length: n * 120 }, (_, i) =>
      entryOf(`c${i}`, `unix:uid:${i % n}`, `k8s:crowd:${i}`),
    );
    for (const entry of crowd) index.add(entry);
    // Each unix:uid is in 120 groups now, so docker:x, used 100 times, is the rarer one.
    for (let i = 0; i < n; i++) index.add(entryOf(`e${i}`, 'docker:x', `unix:uid:${i}`));
    const shown = setOf('docker:x', 'unix:uid:77');
    expect(checksOf(index, shown)).toEqual({ ids: ['e77'], checks: n });
    for (const entry of crowd) index.remove(entry);
    index.match(setOf('docker:x'));
    expect(checksOf(index, shown)).toEqual({ ids: ['e77'], checks: 1 });
  });

  it('visits a few hundred for a grid of 316 × 316', () => {
    const index = new EntryIndex();
    for (let i = 0; i < 316; i++) {
      for (let j = 0; j < 316; j++)
        index.add(entryOf(`${i}.${j}`, `unix:uid:${i}`, `unix:gid:${j}`));
    }
    const found = checksOf(index, setOf('unix:uid:7', 'unix:gid:8', 'unix:path:/x'));
    expect(found.ids).toEqual(['7.8']);
    expect(found.checks).toBeLessThanOrEqual(640);
  });
});

describe('EntryIndex', () => {
  const selector = fc.integer({ min: 0, max: 9 }).map((i) => `unix:uid:${i}`);
  const step = fc.record({
    add: fc.boolean(),
    id: fc.integer({ min: 0, max: 60 }).map((i) => `e${i}`),
    selectors: fc.uniqueArray(selector, { minLength: 1, maxLength: 4 }),
    shown: fc.uniqueArray(selector, { maxLength: 8 }),
  });

  it('finds what a search through all entries finds, after any changes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const index = new EntryIndex();
        const all = new Map<string, RegistrationEntry>();
        for (const { add, id, selectors, shown } of steps) {
          const old = all.get(id);
          if (old !== undefined) index.remove(old);
          all.delete(id);
          if (add) {
            const entry = entryOf(id, ...selectors);
            all.set(id, entry);
            index.add(entry);
          }
          const set = setOf(...shown);
          const expected = [...all.values()].filter((e) =>
            set.includesAll(e.selectors.map(formatSelector)),
          );
          expect(new Set(index.match(set))).toEqual(new Set(expected));
        }
      }),
      { numRuns: 60 },
    );
  });
});
