import { expect, it, onTestFinished } from 'vitest';
import { agentIdOf, SyncWorld, testPolicies } from '../../test/fakes/sync-world.ts';
import { testTrustDomain } from '../../test/fakes/test-entries.ts';
import { type AgentFacts, policyFile } from '../spiffe/index.ts';
import {
  buildParts,
  type Position,
  parsePart,
  SyncReplica,
  type SyncUpdate,
} from '../sync/index.ts';
import type { SyncLink } from './sync-hub.ts';

const id = agentIdOf('one');
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** An agent that has all it is sent by way of the wire. */
function connect(world: SyncWorld, takesPolicies: boolean, replica = newReplica(takesPolicies)) {
  const session = replica.connect();
  const updates: SyncUpdate[] = [];
  let link: SyncLink | undefined;
  const wake = (): void => {
    const update = link?.take();
    if (update === undefined) return;
    updates.push(update);
    for (const part of buildParts(update, 1_000)) {
      const receipt = session.receive(parsePart(part));
      if ('reply' in receipt && receipt.reply.kind === 'applied')
        link?.acknowledge(receipt.reply.revision, receipt.reply.digest);
    }
  };
  if (session.hello.kind !== 'hello') throw new Error('no hello');
  link = world.hub.connect(id, session.hello, { wake, end: () => {} });
  wake();
  return { replica, updates, link, keys: () => updates.map(keysOf) };
}

function newReplica(
  takesPolicies: boolean,
  restored?: { readonly facts: AgentFacts; readonly position: Position },
): SyncReplica {
  return new SyncReplica({
    trustDomain: testTrustDomain,
    agentVersion: '1',
    takesPolicies: () => takesPolicies,
    restored,
  });
}

function keysOf({ items, removed }: SyncUpdate): readonly string[] {
  const short = (key: string): string => (key.startsWith('f:') ? 'f' : key);
  return [...items.map(({ key }) => short(key)), ...removed.map((key) => `-${short(key)}`)];
}

function open() {
  const world = new SyncWorld();
  onTestFinished(() => world.hub.close());
  world.putAgent(id, []);
  return world;
}

it('tells agents that ask for policies, and of a change what changed', async () => {
  const world = open();
  world.setPolicies(testPolicies(1, { 'a.yaml': 'a', 'b.yaml': 'b', 'c.yaml': 'b' }));
  const agent = connect(world, true);
  expect(agent.keys()).toEqual([['b:a.test', 'f', 'f', 'p:head']]);
  const before = agent.replica.state()?.policies;
  expect(before).toEqual(testPolicies(1, { 'a.yaml': 'a', 'b.yaml': 'b', 'c.yaml': 'b' }));
  const next = testPolicies(2, { 'a.yaml': 'A', 'b.yaml': 'b' });
  world.setPolicies(next);
  await turn();
  expect(agent.keys().slice(1)).toEqual(
    [['f', 'p:head', '-f']].map((keys) => expect.arrayContaining(keys)),
  );
  expect(agent.replica.state()?.policies).toEqual(next);
});

it('tells others of none, and they have what they had', async () => {
  const world = open();
  world.setPolicies(testPolicies(1, { 'a.yaml': 'a' }));
  const agent = connect(world, false);
  world.setPolicies(testPolicies(2, { 'a.yaml': 'A' }));
  await turn();
  expect(agent.keys()).toEqual([['b:a.test']]);
  expect(agent.replica.state()?.policies).toBeUndefined();
});

it('begins anew with an agent that asks since it was set up otherwise', () => {
  const world = open();
  world.setPolicies(testPolicies(1, { 'a.yaml': 'a' }));
  const { replica } = connect(world, false);
  const { facts, position } = { facts: replica.state(), position: replica.position() };
  if (facts === undefined || position === undefined) throw new Error('it knows nothing');
  const again = connect(world, true, newReplica(true, { facts, position }));
  expect(again.replica.state()?.policies?.version).toBe(1);
});

it('goes on where an agent was, with what it kept', async () => {
  const world = open();
  world.setPolicies(testPolicies(1, { 'a.yaml': 'a', 'b.yaml': 'b' }));
  const first = connect(world, true);
  first.link?.close();
  world.setPolicies(testPolicies(2, { 'a.yaml': 'a', 'b.yaml': 'B' }));
  const { facts, position } = { facts: first.replica.state(), position: first.replica.position() };
  if (facts === undefined || position === undefined) throw new Error('it knows nothing');
  const again = connect(world, true, newReplica(true, { facts, position }));
  expect(again.updates[0]?.isSnapshot).toBe(false);
  expect(again.keys()[0]).toHaveLength(3);
  expect(again.replica.state()?.policies?.files.map(({ sha256 }) => sha256)).toEqual(
    [policyFile('', Buffer.from('a')), policyFile('', Buffer.from('B'))].map(
      ({ sha256 }) => sha256,
    ),
  );
  // And with a server that starts anew, to which it stands at the present state.
  world.restart();
  again.link?.close();
  const stands = connect(world, true, again.replica);
  expect(stands.keys()).toEqual([[]]);
});
