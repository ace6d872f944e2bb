import { describe, expect, it, onTestFinished } from 'vitest';
import {
  agentIdOf,
  numberedBundle,
  SyncWorld,
  testRevocation,
  testTerms,
} from '../../test/fakes/sync-world.ts';
import { testEntry } from '../../test/fakes/test-entries.ts';
import type { SpiffeId } from '../spiffe/index.ts';
import type { Position, SyncUpdate } from '../sync/index.ts';
import { hubLimits, type SyncLink } from './sync-hub.ts';

const one = agentIdOf('one');
const two = agentIdOf('two');

function open() {
  const world = new SyncWorld();
  onTestFinished(() => world.hub.close());
  for (const id of [one, two]) world.putAgent(id, []);
  /** An agent's stream that acknowledges all it is sent, unless it is told not to. */
  const connect = (id: SpiffeId, resume?: Position, acknowledges = true, takesTerms = true) => {
    const updates: SyncUpdate[] = [];
    const ends: string[] = [];
    let link: SyncLink | undefined;
    const wake = (): void => {
      const update = link?.take();
      if (update === undefined) return;
      updates.push(update);
      const { revision, digest } = update.position;
      if (acknowledges) link?.acknowledge(revision, digest);
    };
    link = world.hub.connect(
      id,
      { resume, takesTerms },
      { wake, end: (reason) => void ends.push(reason.code) },
    );
    wake();
    return { updates, ends, link };
  };
  const put = (name: string, id: SpiffeId) =>
    world.changeEntries(testEntry(name, undefined, { parentId: id.toString() }));
  const metric = async (name: string): Promise<number> => {
    const text = await world.metrics.render();
    return Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')[1],
    );
  };
  return { world, connect, put, metric };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const keysOf = (update: SyncUpdate | undefined) => [
  ...(update?.items.map(({ key }) => key) ?? []),
  ...(update?.removed.map((key) => `-${key}`) ?? []),
];

describe('SyncHub', () => {
  it('brings a change to the agents it concerns, all of one turn together', async () => {
    const { world, connect, put } = open();
    const [first, second] = [connect(one), connect(two)];
    put('a', one);
    put('b', one);
    world.changeEntries('a');
    await turn();
    expect(first.updates.slice(1).map(keysOf)).toEqual([['e:b', '-e:a']]);
    expect(second.updates).toHaveLength(1);
  });

  it('sends bundles of trust domains that entries federate with, from the first to the last such entry', async () => {
    const { world, connect } = open();
    world.trustMap.set(numberedBundle('a.test', 1), numberedBundle('b.test', 1));
    const { updates } = connect(one);
    const entry = (name: string) =>
      testEntry(name, undefined, { parentId: one.toString(), federatesWith: ['b.test'] });
    for (const change of [
      () => world.changeEntries(entry('x')),
      () => world.changeEntries(entry('y')),
      () => world.trustMap.set(numberedBundle('a.test', 2), numberedBundle('b.test', 1)),
      () => world.trustMap.set(numberedBundle('a.test', 2), numberedBundle('b.test', 2)),
      () => world.trustMap.set(numberedBundle('a.test', 2), numberedBundle('b.test', 2)),
      () => world.changeEntries('x'),
      () => world.changeEntries('y'),
    ]) {
      change();
      await turn();
    }
    expect(updates.map(keysOf)).toEqual([
      ['b:a.test'],
      ['e:x', 'b:b.test'],
      ['e:y'],
      ['b:a.test'],
      ['b:b.test'],
      ['-e:x'],
      ['-e:y', '-b:b.test'],
    ]);
  });

  it('sends the terms of a trust domain with its bundle, and each again when it alone changes', async () => {
    const { world, connect } = open();
    world.trustMap.set(numberedBundle('a.test', 1), numberedBundle('b.test', 1));
    const entry = testEntry('x', undefined, {
      parentId: one.toString(),
      federatesWith: ['b.test'],
    });
    world.trustMap.setTerms(['b.test', testTerms('b.test', '/x/**')]);
    world.changeEntries(entry);
    const { updates } = connect(one);
    for (const change of [
      () => world.trustMap.setTerms(['b.test', testTerms('b.test', '/x/**')]),
      () => world.trustMap.setTerms(['b.test', testTerms('b.test', '/y')]),
      () => world.trustMap.set(numberedBundle('a.test', 1), numberedBundle('b.test', 2)),
      () => world.trustMap.setTerms(['c.test', testTerms('c.test', '/y')]),
      () => world.changeEntries('x'),
    ]) {
      change();
      await turn();
    }
    expect(updates.map(keysOf)).toEqual([
      ['b:a.test', 't:b.test', 'b:b.test', 'e:x'],
      ['t:b.test'],
      ['b:b.test'],
      ['-t:b.test'],
      ['-e:x', '-b:b.test'],
    ]);
  });

  it('keeps the bundle of a trust domain that is accepted in part from an agent that takes no terms', async () => {
    const { world, connect } = open();
    const [b, c] = [numberedBundle('b.test', 1), numberedBundle('c.test', 1)];
    world.trustMap.set(numberedBundle('a.test', 1), b, c);
    world.trustMap.setTerms(
      ['b.test', testTerms('b.test', '/x/**')],
      ['c.test', testTerms('c.test')],
    );
    const more = { parentId: one.toString(), federatesWith: ['b.test', 'c.test'] };
    world.changeEntries(testEntry('x', undefined, more));
    const { updates, ends } = connect(one, undefined, true, false);
    world.trustMap.setTerms();
    await turn();
    world.trustMap.setTerms(['b.test', testTerms('b.test', '/x/**')]);
    await turn();
    expect(updates.map(keysOf)).toEqual([
      ['b:a.test', 'b:c.test', 'e:x'],
      ['b:b.test'],
      ['-b:b.test'],
    ]);
    const { updates: later } = connect(one, updates.at(-1)?.position);
    expect(ends).toEqual(['ERR_SYNC_REPLACED']);
    expect(later.map(keysOf)).toEqual([['b:a.test', 't:b.test', 'b:b.test', 'b:c.test', 'e:x']]);
  });

  it('sends revocations to all agents', async () => {
    const { world, connect } = open();
    const streams = [connect(one), connect(two)];
    world.setRevocations([testRevocation('r1'), testRevocation('r2')]);
    await turn();
    world.setRevocations([testRevocation('r2', { reason: 'key lost' })]);
    await turn();
    for (const { updates } of streams) {
      expect(updates.slice(1).map(keysOf)).toEqual([
        ['r:r1', 'r:r2'],
        ['r:r2', '-r:r1'],
      ]);
    }
  });

  it('tells nobody of revocations that ended a day ago, which are in the store still', async () => {
    const { world, connect } = open();
    const now = world.clock.now();
    const some = [
      testRevocation('old', { expiresAt: now - 86_400_000 }),
      testRevocation('new', { expiresAt: now - 86_399_999 }),
    ];
    world.setRevocations(some);
    await turn();
    const { updates } = connect(one);
    const told = updates.flatMap(keysOf).filter((key) => key.startsWith('r:'));
    expect(told).toEqual(['r:new']);
  });

  it('remembers an agent for five minutes, and what it was sent and did not acknowledge', async () => {
    const { world, connect, put } = open();
    const first = connect(one);
    const held = first.updates[0]?.position;
    const second = connect(one, held, false);
    put('a', one);
    await turn();
    second.link.close();
    world.clock.advance(hubLimits.retentionMs - 1);
    put('b', one);
    const third = connect(one, held);
    expect(third.updates[0]?.isSnapshot).toBe(false);
    expect(keysOf(third.updates[0])).toEqual(['e:a', 'e:b']);
    third.link.close();
    world.clock.advance(hubLimits.retentionMs);
    put('c', one);
    expect(connect(one, third.updates.at(-1)?.position).updates[0]?.isSnapshot).toBe(true);
  });

  it('knows an agent that stands at the present state, whatever it remembers', () => {
    const { world, connect, put } = open();
    put('a', one);
    const position = connect(one).updates[0]?.position;
    world.restart();
    expect(connect(one, position).updates).toMatchObject([
      { isSnapshot: false, items: [], removed: [], position: { digest: position?.digest } },
    ]);
  });

  it('forgets an absent agent when too much changes', () => {
    const { connect, put } = open();
    const { link, updates } = connect(one);
    link.close();
    for (let index = 0; index <= hubLimits.backlog; index++) put(`w${index}`, one);
    expect(connect(one, updates[0]?.position).updates[0]?.isSnapshot).toBe(true);
  });

  it('remembers no more absent agents than it may, and forgets the longest absent first', () => {
    const { connect, world, put } = open();
    const ids = Array.from({ length: hubLimits.absent + 1 }, (_, index) => agentIdOf(`n${index}`));
    const left = ids.map((id) => {
      world.putAgent(id, []);
      const { link, updates } = connect(id);
      link.close();
      return { id, position: updates[0]?.position };
    });
    const comeBack = ({ id, position }: (typeof left)[number]) => {
      put(`below-${id.path.split('/').at(-1)}`, id);
      return connect(id, position).updates[0]?.isSnapshot;
    };
    expect(left.slice(0, 3).map(comeBack)).toEqual([true, false, false]);
  });

  it('forgets each absent agent in its own time', () => {
    const { connect, world, put } = open();
    const [first, second] = [connect(one), connect(two)];
    first.link.close();
    world.clock.advance(100_000);
    second.link.close();
    world.clock.advance(hubLimits.retentionMs - 100_000);
    put('a', one);
    put('b', two);
    expect(connect(one, first.updates[0]?.position).updates[0]?.isSnapshot).toBe(true);
    expect(connect(two, second.updates[0]?.position).updates[0]?.isSnapshot).toBe(false);
  });

  it('ends a stream whose agent opens another, is banned or evicted', () => {
    const { world, connect } = open();
    const [first, second] = [connect(one), connect(one)];
    expect(first.ends).toEqual(['ERR_SYNC_REPLACED']);
    first.link.close();
    world.putAgent(one, [], { banned: true });
    expect(second.ends).toEqual(['ERR_AGENT_BANNED']);
    second.link.close();
    const third = connect(two);
    world.deleteAgent(two);
    expect(third.ends).toEqual(['ERR_AGENT_NOT_ATTESTED']);
    expect(() => connect(one)).toThrow(expect.objectContaining({ code: 'ERR_AGENT_NOT_ATTESTED' }));
  });

  it('gives nothing to a stream that was replaced', () => {
    const { connect } = open();
    const first = connect(one, undefined, false);
    connect(one, undefined, false);
    expect(first.link.take()).toBeUndefined();
  });

  it('measures streams, updates, and how long agents are behind', async () => {
    const { world, connect, put, metric } = open();
    const { link } = connect(one);
    const slow = connect(two, undefined, false);
    put('a', two);
    world.clock.advance(2_000);
    const first = slow.updates[0]?.position;
    slow.link.acknowledge(first?.revision ?? 0, first?.digest ?? '');
    await turn();
    world.clock.advance(1_000);
    const { revision = 0, digest = '' } = slow.updates.at(-1)?.position ?? {};
    slow.link.acknowledge(revision, digest);
    expect(await metric('trustplane_sync_lag_seconds_sum')).toBe(2 + 3);
    expect(await metric('trustplane_sync_updates_total{kind="snapshot"}')).toBe(2);
    expect(await metric('trustplane_sync_updates_total{kind="delta"}')).toBe(1);
    expect(await metric('trustplane_sync_streams_count')).toBe(2);
    link.close();
    expect(await metric('trustplane_sync_streams_count')).toBe(1);
  });

  it('leaves nothing behind when it is closed', () => {
    const { world, connect } = open();
    const { ends, link } = connect(one);
    connect(two).link.close();
    world.hub.close();
    expect(ends).toEqual(['ERR_SHUTTING_DOWN']);
    link.close();
    expect(world.clock.timers).toBe(0);
  });
});
