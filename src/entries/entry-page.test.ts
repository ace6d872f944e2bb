import { describe, expect, it } from 'vitest';
import { testEntry } from '../../test/fakes/test-entries.ts';
import { type RegistrationEntry, SpiffeId } from '../spiffe/index.ts';
import { compileFilter, type EntryFilter } from './entry-filter.ts';
import { EntryGraph } from './entry-graph.ts';
import { listEntries, pageLimits } from './entry-page.ts';

function graphOf(...entries: RegistrationEntry[]): EntryGraph {
  const graph = new EntryGraph();
  for (const after of entries) graph.apply([{ before: undefined, after }]);
  return graph;
}

function pages(
  graph: EntryGraph,
  filter: EntryFilter,
  pageSize: number,
  between: () => void = () => {},
) {
  const found: string[][] = [];
  for (let pageToken = ''; found.length === 0 || pageToken !== ''; between()) {
    const page = listEntries(graph, filter, { pageSize, pageToken }, () => 100);
    found.push(page.entries.map((entry) => entry.id));
    pageToken = page.nextPageToken;
  }
  return found;
}

const names = ['c', 'a', 'e', 'b', 'd'];
const five = () => graphOf(...names.map((name) => testEntry(name)));

describe('listEntries', () => {
  it('lists in order of IDs, page after page', () => {
    expect(pages(five(), {}, 2)).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
    expect(pages(five(), {}, 5)).toEqual([['a', 'b', 'c', 'd', 'e']]);
    expect(pages(five(), { spiffeId: SpiffeId.parse('spiffe://a.test/c') }, 1)).toEqual([['c']]);
    expect(pages(graphOf(), {}, 2)).toEqual([[]]);
  });

  it('lists once what is there throughout, though others come and go', () => {
    const graph = five();
    const change = () => {
      graph.apply(
        [{ before: graph.get('b'), after: undefined }].filter(({ before }) => before !== undefined),
      );
      if (graph.get('aa') === undefined)
        graph.apply([{ before: undefined, after: testEntry('aa') }]);
    };
    expect(pages(graph, {}, 2, change).flat()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('keeps the list of IDs sorted through single changes and bulk', () => {
    const graph = five();
    graph.apply(
      Array.from({ length: 200 }, (_, i) => ({ before: undefined, after: testEntry(`x${i}`) })),
    );
    graph.apply([{ before: graph.get('x7'), after: undefined }]);
    graph.apply([{ before: undefined, after: testEntry('x70a') }]);
    expect(graph.ids).toEqual([...graph.ids].sort());
    expect([graph.ids.length, graph.size]).toEqual([205, 205]);
  });

  it('ends a page at its bytes, after at least one entry', () => {
    const graph = five();
    const page = listEntries(graph, {}, { pageSize: 5, pageToken: '' }, () => pageLimits.bytes / 2);
    expect(page.entries.map(({ id }) => id)).toEqual(['a', 'b']);
    const large = listEntries(
      graph,
      {},
      { pageSize: 5, pageToken: page.nextPageToken },
      () => pageLimits.bytes * 2,
    );
    expect(large.entries.map(({ id }) => id)).toEqual(['c']);
  });

  it('gives all without a page size, or says that they do not fit', () => {
    const request = { pageSize: 0, pageToken: '' };
    expect(listEntries(five(), {}, request, () => 1).entries).toHaveLength(5);
    const many = graphOf(
      ...Array.from({ length: pageLimits.entries + 1 }, (_, i) => testEntry(`e${i}`)),
    );
    expect(() => listEntries(many, {}, request, () => 1)).toThrow('page_size');
    expect(pages(many, {}, 1_000_000).map((page) => page.length)).toEqual([pageLimits.entries, 1]);
  });

  it.each([
    'x',
    'MTo',
    Buffer.from('2:a').toString('base64url'),
    Buffer.from('1:a/b').toString('base64url'),
  ])('refuses the page token %j', (pageToken) => {
    expect(() => listEntries(five(), {}, { pageSize: 1, pageToken }, () => 1)).toThrow(
      expect.objectContaining({ code: 'ERR_ENTRY_PAGE' }),
    );
  });
});

describe('compileFilter', () => {
  const entry = testEntry('web', ['unix:uid:1', 'unix:gid:1'], {
    federatesWith: ['b.test'],
    hint: 'h',
    downstream: true,
  });

  it.each<[string, EntryFilter, boolean]>([
    ['nothing', {}, true],
    ['its ID', { spiffeId: SpiffeId.parse('spiffe://a.test/web') }, true],
    ['another ID', { spiffeId: SpiffeId.parse('spiffe://a.test/web2') }, false],
    ['another parent', { parentId: SpiffeId.parse('spiffe://a.test/p') }, false],
    ['its hint', { hint: 'h' }, true],
    ['another hint', { hint: '' }, false],
    ['downstream', { downstream: true }, true],
    ['not downstream', { downstream: false }, false],
    [
      'its ID and another hint',
      { spiffeId: SpiffeId.parse('spiffe://a.test/web'), hint: 'x' },
      false,
    ],
  ])('with %s', (_, filter, expected) => {
    expect(compileFilter(filter)(entry)).toBe(expected);
  });

  const u1 = 'unix:uid:1';
  const g1 = 'unix:gid:1';
  const x = 'unix:uid:9';
  it.each([
    ['exact', [g1, u1], true],
    ['exact', [u1], false],
    ['exact', [u1, g1, x], false],
    ['subset', [u1, g1, x], true],
    ['subset', [u1, g1], true],
    ['subset', [u1, x], false],
    ['superset', [u1], true],
    ['superset', [u1, g1], true],
    ['superset', [u1, x], false],
    ['any', [u1, x], true],
    ['any', [x], false],
  ] as const)('with selectors %s %j', (match, values, expected) => {
    expect(compileFilter({ selectors: { match, values } })(entry)).toBe(expected);
  });

  it('does not count an entry that federates with nobody as a subset', () => {
    const federatesWith = { match: 'subset', values: ['b.test'] } as const;
    expect(compileFilter({ federatesWith })(entry)).toBe(true);
    expect(compileFilter({ federatesWith })(testEntry('alone'))).toBe(false);
  });
});
