import { describe, expect, it } from 'vitest';
import { ControlPlaneWorld, type TestServer } from '../../test/fakes/control-plane.ts';
import { draftOf } from '../../test/fakes/open-policies.ts';
import { agentIdOf } from '../../test/fakes/sync-world.ts';
import { joinTakers } from '../api/join-takers.ts';
import type { PolicyTaker } from '../spiffe/index.ts';
import { reportTakers } from './share-takers.ts';

function taker(hash: string | undefined, more: Partial<PolicyTaker> = {}): PolicyTaker {
  const none = { digest: undefined, since: undefined, fault: undefined, refused: undefined };
  return { name: 'authz', hash, ...none, ...more };
}

/** What the server says of all. */
function statusAt({ id, takers, policies, controlPlane: { directory } }: TestServer) {
  const agents = takers.list();
  return joinTakers({ serverId: id, agents }, directory, policies.version?.hash);
}

async function place() {
  const world = new ControlPlaneWorld();
  const one = await world.start('one');
  const two = await world.start('two');
  await one.policies.apply(draftOf({ 'a.yaml': '1' }, 0));
  await world.until(() => two.policies.version?.hash === one.policies.version?.hash);
  await world.advance(2_000);
  return { world, one, two, hash: one.policies.version?.hash };
}

describe('what agents of several servers have of the policies', () => {
  it('is known at each server, which names who says so', async () => {
    const { world, one, two, hash } = await place();
    one.takers.onConnected(agentIdOf('a'));
    one.takers.onTakers(agentIdOf('a'), [taker(hash)]);
    two.takers.onConnected(agentIdOf('b'));
    two.takers.onTakers(agentIdOf('b'), [
      taker(undefined, { name: 'old', fault: 'x'.repeat(9_000), refused: hash }),
      taker(hash),
    ]);
    await world.advance(2_000);
    const { agents, servers } = statusAt(one);
    expect(agents).toMatchObject([
      { serverId: 'one', isConnected: true, takers: [{ hash }] },
      {
        serverId: 'two',
        isConnected: true,
        takers: [{ name: 'old', fault: 'x'.repeat(256), refused: hash }, { hash }],
      },
    ]);
    const two1 = { serverId: 'two', isLive: true, isCurrent: true, connected: 1, inForce: 1 };
    expect(servers).toMatchObject([{ ...two1, unnamedBehind: 0 }]);
    expect(statusAt(two).agents.map(({ serverId }) => serverId)).toEqual(['one', 'two']);
  });

  it('is waited for until the other says it of the present version', async () => {
    const { world, one, two, hash } = await place();
    two.takers.onConnected(agentIdOf('b'));
    two.takers.onTakers(agentIdOf('b'), [taker(hash)]);
    await world.advance(2_000);
    expect(statusAt(one).servers).toMatchObject([{ isCurrent: true, inForce: 1 }]);
    await one.policies.apply(draftOf({ 'a.yaml': '2' }, 1));
    expect(statusAt(one).servers).toMatchObject([{ isCurrent: false, inForce: 0 }]);
    // How long the other takes to read the version is no matter of these clocks.
    await world.until(() => statusAt(one).servers[0]?.isCurrent === true);
    expect(statusAt(one).servers).toMatchObject([{ isCurrent: true, inForce: 0 }]);
    two.takers.onTakers(agentIdOf('b'), [taker(one.policies.version?.hash)]);
    await world.advance(2_000);
    expect(statusAt(one).servers).toMatchObject([{ isCurrent: true, inForce: 1 }]);
  });

  it('is that of the server an agent went to, and nobody waits for one that died', async () => {
    const { world, one, two, hash } = await place();
    two.takers.onConnected(agentIdOf('b'));
    await world.advance(2_000);
    await two.kill();
    one.takers.onConnected(agentIdOf('b'));
    one.takers.onTakers(agentIdOf('b'), [taker(hash)]);
    expect(statusAt(one).agents).toMatchObject([{ serverId: 'one', isConnected: true }]);
    one.takers.forget(agentIdOf('b'));
    await world.advance(17_000);
    expect(statusAt(one).agents).toMatchObject([{ serverId: 'two', isConnected: false }]);
    expect(statusAt(one).servers).toMatchObject([{ isLive: false, isCurrent: false }]);
    await world.advance(31_000);
    expect(statusAt(one)).toEqual({ agents: [], servers: [] });
  });

  it('is written once a second at most, however often it changes', async () => {
    const { world, two, hash } = await place();
    const leases = world.store.bucket('leases');
    let writes = 0;
    let last = 0;
    for (let step = 0; step < 100; step++) {
      two.takers.onConnected(agentIdOf(`${step}`));
      two.takers.onTakers(agentIdOf(`${step}`), [taker(hash)]);
      await world.advance(40, 40);
      const { revision = 0 } = (await leases.get('server.two')) ?? {};
      if (revision !== last) writes += 1;
      last = revision;
    }
    expect(writes).toBeLessThan(8);
  });

  it('is bounded: those who are behind are named first, the others counted', async () => {
    const { world, one, two, hash } = await place();
    for (let at = 0; at < 60; at++) {
      two.takers.onConnected(agentIdOf(`${at}`));
      if (at < 20) two.takers.onTakers(agentIdOf(`${at}`), [taker(hash)]);
    }
    await world.advance(3_000);
    const { agents, servers } = statusAt(one);
    expect(agents.every(({ takers }) => takers.length === 0)).toBe(true);
    expect(servers).toMatchObject([
      { connected: 60, away: 0, inForce: 20, unnamedBehind: 40 - agents.length },
    ]);
    expect(agents.length).toBeGreaterThan(9);
  });
});

it('an agent on whose host nobody has said anything is behind', () => {
  const agent = { agentId: 'a', isConnected: true, since: 0, takers: [] };
  expect(reportTakers([agent], 'h')).toMatchObject({ connected: 1, behind: 1, inForce: 0 });
});
