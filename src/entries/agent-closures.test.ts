import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { testAgentId, testEntry } from '../../test/fakes/test-entries.ts';
import {
  formatSelector,
  parseSelector,
  type RegistrationEntry,
  SelectorSet,
  SpiffeId,
} from '../spiffe/index.ts';
import { AgentClosures } from './agent-closures.ts';
import { type EntryChange, EntryGraph } from './entry-graph.ts';

const server = 'spiffe://a.test/spire/server';
const setOf = (...texts: string[]) => SelectorSet.of(texts.map(parseSelector));
const agent = {
  agentId: SpiffeId.parse(testAgentId),
  nodeSelectors: setOf('k8s_psat:cluster:x', 'k8s_psat:ns:y'),
};
const workload = setOf('unix:uid:1000');

function world(...entries: RegistrationEntry[]) {
  const clock = new FakeClock();
  const graph = new EntryGraph();
  const put = (...next: RegistrationEntry[]) =>
    graph.apply(next.map((after) => ({ before: graph.get(after.id), after })));
  const remove = (...ids: string[]) =>
    graph.apply(ids.map((id) => ({ before: graph.get(id), after: undefined })));
  put(...entries);
  const closures = new AgentClosures(graph, clock);
  const closure = closures.open(agent);
  const ids = () => closure.match(workload).map((entry) => entry.id);
  return { clock, graph, put, remove, closures, closure, ids };
}

const below = (parent: string, name: string, more: Parameters<typeof testEntry>[2] = {}) =>
  testEntry(name, undefined, {
    parentId: parent.startsWith('spiffe:') ? parent : `spiffe://a.test/${parent}`,
    ...more,
  });
const alias = (name: string, ...selectors: string[]) =>
  testEntry(name, selectors, { parentId: server });

describe('AgentClosures', () => {
  it('holds what is below the agent and not what is below another', () => {
    const { ids, closure } = world(
      below(testAgentId, 'mine'),
      below('spiffe://a.test/spire/agent/x/y', 'theirs'),
    );
    expect(ids()).toEqual(['mine']);
    expect([closure.get('mine')?.id, closure.get('theirs')]).toEqual(['mine', undefined]);
  });

  it('holds what is below a node alias whose selectors the node shows, all of them', () => {
    const { ids, put, remove } = world(
      alias('cluster', 'k8s_psat:cluster:x'),
      alias('elsewhere', 'k8s_psat:cluster:x', 'k8s_psat:ns:z'),
      below('cluster', 'a'),
      below('elsewhere', 'b'),
    );
    expect(ids()).toEqual(['a']);
    remove('cluster');
    expect(ids()).toEqual([]);
    put(alias('elsewhere', 'k8s_psat:ns:y'));
    expect(ids()).toEqual(['b']);
  });

  it('never holds a node alias itself', () => {
    const { closure } = world(alias('cluster', 'k8s_psat:cluster:x'));
    expect(closure.get('cluster')).toBeUndefined();
  });

  it('follows chains of parents and survives cycles of them', () => {
    const { ids, put, remove } = world(below('b', 'a'), below('a', 'b'), below('b', 'c'));
    expect(ids()).toEqual([]);
    put(testEntry('door', undefined, { spiffeId: 'spiffe://a.test/a' }));
    expect(ids()).toEqual(['a', 'b', 'c', 'door']);
    remove('door');
    expect(ids()).toEqual([]);
  });

  it('gives the oldest first, then by ID', () => {
    const { ids } = world(
      testEntry('new', undefined, { createdAt: 3 }),
      testEntry('b', undefined, { createdAt: 2 }),
      testEntry('a', undefined, { createdAt: 2 }),
      testEntry('old', undefined, { createdAt: 1 }),
    );
    expect(ids()).toEqual(['old', 'a', 'b', 'new']);
  });

  it('matches no storeSvid entry, and nothing that has expired', () => {
    const soon = Date.parse('2026-01-01T00:01:00Z') / 1000;
    const { clock, ids, closure } = world(
      testEntry('stored', undefined, { storeSvid: true }),
      testEntry('brief', undefined, { expiresAtSeconds: soon }),
    );
    expect(ids()).toEqual(['brief']);
    expect(closure.get('stored')?.id).toBe('stored');
    clock.advance(60_000);
    expect([ids(), closure.get('brief')]).toEqual([[], undefined]);
  });

  it('tells of a change at once, once, and only when it is one of its own', () => {
    const { put, remove, closure, ids } = world();
    const seen: string[][] = [];
    const stop = closure.watch(() => seen.push(ids()));
    put(testEntry('a'), below('a', 'b'));
    put(below('spiffe://a.test/spire/agent/x/y', 'theirs'));
    put(testEntry('a', undefined, { hint: 'h' }));
    remove('a');
    stop();
    put(testEntry('c'));
    expect(seen).toEqual([['a', 'b'], ['a', 'b'], []]);
  });

  it('follows the selectors of the node', () => {
    const { ids, closure } = world(
      alias('cluster', 'k8s_psat:cluster:x'),
      alias('elsewhere', 'k8s_psat:ns:z'),
      below('cluster', 'a'),
      below('elsewhere', 'b'),
      testEntry('own'),
    );
    const told: (string | undefined)[][] = [];
    closure.watch((changes) =>
      told.push(changes.map(({ before, after }) => `${before?.id}>${after?.id}`).sort()),
    );
    closure.show(setOf('k8s_psat:ns:z'));
    closure.show(setOf('k8s_psat:ns:z'));
    expect(ids()).toEqual(['b', 'own']);
    expect(told).toEqual([['a>undefined', 'undefined>b']]);
  });

  it('keeps what is below the same aliases once, however many agents have them', () => {
    const { closures, put, ids } = world(
      alias('cluster', 'k8s_psat:cluster:x'),
      below('cluster', 'a'),
    );
    const others = Array.from({ length: 100 }, (_, index) =>
      closures.open({
        agentId: SpiffeId.parse(`spiffe://a.test/spire/agent/x/${index}`),
        nodeSelectors: agent.nodeSelectors,
      }),
    );
    expect(closures.size).toBe(101 + 1);
    put(below('cluster', 'b'));
    expect(ids()).toEqual(['a', 'b']);
    for (const other of others) expect(other.all().map(({ id }) => id)).toEqual(['a', 'b']);
    for (const other of others) other.close();
    expect(closures.size).toBe(2);
  });

  it('has a change looked at by nobody but the agents it concerns', () => {
    const { closures, graph, put } = world();
    const told: number[] = [];
    for (let index = 0; index < 50; index++) {
      const agentId = SpiffeId.parse(`spiffe://a.test/spire/agent/x/${index}`);
      const entries = closures.open({ agentId, nodeSelectors: setOf() });
      entries.watch(() => told.push(index));
    }
    const lookups = vi.spyOn(graph, 'withPath');
    put(below('spiffe://a.test/spire/agent/x/7', 'seven'));
    put(below('seven', 'below-seven'));
    expect(told).toEqual([7, 7]);
    expect(lookups.mock.calls.length).toBeLessThanOrEqual(3);
  });

  it('lets go of a long chain in one pass over it', () => {
    const count = 2000;
    const chain = Array.from({ length: count }, (_, i) =>
      below(i === 0 ? testAgentId : `n${i - 1}`, `n${i}`),
    );
    const { graph, remove, closure } = world(...chain);
    expect(closure.all().length).toBe(count);
    const lookups = vi.spyOn(graph, 'withPath');
    remove('n0');
    expect(closure.all().length).toBe(0);
    expect(lookups.mock.calls.length).toBeLessThanOrEqual(2 * count);
  });

  it('follows nothing after close', () => {
    const { put, closure, ids } = world(testEntry('a'));
    closure.close();
    put(testEntry('b'));
    expect(ids()).toEqual(['a']);
  });
});

const names = ['a', 'b', 'c', 'd', 'e', 'f'];
const parents = [
  testAgentId,
  server,
  'spiffe://a.test/spire/agent/x/y',
  ...names.map((n) => `spiffe://a.test/${n}`),
];
const uids = ['unix:uid:0', 'unix:uid:1', 'unix:uid:2'];
const nodes = ['k8s_psat:cluster:x', 'k8s_psat:ns:y', 'k8s_psat:ns:z'];

const randomEntry = fc
  .record({
    id: fc.integer({ min: 0, max: 14 }),
    name: fc.constantFrom(...names),
    parentId: fc.constantFrom(...parents),
    uids: fc.subarray(uids, { minLength: 1 }),
    nodes: fc.subarray(nodes, { minLength: 1 }),
    createdAt: fc.integer({ min: 0, max: 3 }),
    storeSvid: fc.boolean(),
  })
  .filter(({ name, parentId }) => parentId !== `spiffe://a.test/${name}`)
  .map(({ id, name, parentId, uids, nodes, createdAt, storeSvid }) =>
    testEntry(name, parentId === server ? nodes : uids, {
      id: `e${id}`,
      parentId,
      createdAt,
      storeSvid,
    }),
  );
const randomStep = fc.oneof(
  { weight: 3, arbitrary: randomEntry },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 14 }).map((i) => `e${i}`) },
);

/** The closure, computed anew from its definition. */
function naiveClosure(
  all: readonly RegistrationEntry[],
  { agentId, nodeSelectors }: typeof agent = agent,
): Set<RegistrationEntry> {
  const isAlias = (entry: RegistrationEntry) =>
    entry.parentId.toString() === server &&
    nodeSelectors.includesAll(entry.selectors.map(formatSelector));
  const reached = new Set([
    agentId.toString(),
    ...all.filter(isAlias).map((entry) => entry.spiffeId.toString()),
  ]);
  const members = new Set<RegistrationEntry>();
  for (let grew = true; grew; ) {
    const more = all.filter(
      (entry) => !members.has(entry) && reached.has(entry.parentId.toString()),
    );
    for (const entry of more) members.add(entry);
    for (const entry of more) reached.add(entry.spiffeId.toString());
    grew = more.length > 0;
  }
  return members;
}

describe('AgentClosures against their definition', () => {
  it('holds and matches the same after any batches of changes, and tells of each that changed it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(randomStep, { minLength: 1, maxLength: 5 }), {
          maxLength: 60,
          size: 'max',
        }),
        (batches) => {
          const { graph, closure } = world();
          let told = 0;
          closure.watch(() => told++);
          let before = new Set<RegistrationEntry>();
          for (const batch of batches) {
            graph.apply(changesOf(graph, batch));
            const all = graph.ids.flatMap((id) => graph.get(id) ?? []);
            const members = naiveClosure(all);
            expect(new Set(all.filter((entry) => closure.get(entry.id) === entry))).toEqual(
              members,
            );
            expect(closure.all().length).toBe(members.size);
            for (const shown of [uids, uids.slice(1), ['unix:uid:0']]) {
              const matched = [...members]
                .filter(
                  (e) =>
                    !e.storeSvid && setOf(...shown).includesAll(e.selectors.map(formatSelector)),
                )
                .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
              expect(closure.match(setOf(...shown))).toEqual(matched);
            }
            const differs =
              members.size !== before.size || [...members].some((e) => !before.has(e));
            // An update to equal content is told too; nothing is told twice.
            expect(told).toBeGreaterThanOrEqual(differs ? 1 : 0);
            expect(told).toBeLessThanOrEqual(1);
            told = 0;
            before = members;
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

const agentIds = ['local/up', 'x/y', 'x/z'].map((path) =>
  SpiffeId.parse(`spiffe://a.test/spire/agent/${path}`),
);
const randomNode = fc.record({
  agent: fc.integer({ min: 0, max: agentIds.length - 1 }),
  shown: fc.subarray(nodes),
});

describe('what AgentClosures tell of many agents', () => {
  it('adds up to what each may serve, whatever changes and however nodes change', () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.array(randomStep, { minLength: 1, maxLength: 4 }) },
      { weight: 1, arbitrary: randomNode },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const graph = new EntryGraph();
        const closures = new AgentClosures(graph, new FakeClock());
        const agents = agentIds.map((agentId) => {
          const nodeSelectors = setOf();
          const entries = closures.open({ agentId, nodeSelectors });
          const mirror = new Map<string, RegistrationEntry>();
          entries.watch((changes) => {
            for (const { before, after } of changes) {
              const id = (before ?? after)?.id ?? '';
              expect(mirror.get(id)).toBe(before);
              if (after === undefined) mirror.delete(id);
              else mirror.set(id, after);
            }
          });
          return { agentId, nodeSelectors, entries, mirror };
        });
        for (const next of steps) {
          if ('shown' in next) {
            const shown = agents[next.agent];
            if (shown === undefined) continue;
            shown.nodeSelectors = setOf(...next.shown);
            shown.entries.show(shown.nodeSelectors);
          } else {
            graph.apply(changesOf(graph, next));
          }
          const all = graph.ids.flatMap((id) => graph.get(id) ?? []);
          for (const { entries, mirror, ...node } of agents) {
            const members = naiveClosure(all, node);
            expect(new Set(mirror.values())).toEqual(members);
            expect(new Set(entries.all())).toEqual(members);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** Puts (an entry) and removes (an ID), one after the other. */
function changesOf(
  graph: EntryGraph,
  batch: readonly (RegistrationEntry | string)[],
): EntryChange[] {
  const latest = new Map<string, RegistrationEntry | undefined>();
  return batch.flatMap((step) => {
    const id = typeof step === 'string' ? step : step.id;
    const before = latest.has(id) ? latest.get(id) : graph.get(id);
    const after = typeof step === 'string' ? undefined : step;
    latest.set(id, after);
    return before === undefined && after === undefined ? [] : [{ before, after }];
  });
}
