import { expect, it, onTestFinished } from 'vitest';
import { agentIdOf, SyncWorld } from '../../test/fakes/sync-world.ts';
import { testTrustDomain } from '../../test/fakes/test-entries.ts';
import { writeCrl, writeCrlEntries } from '../ca/crl-writer.ts';
import { createMemoryKeyManager } from '../ca/index.ts';
import { type Crl, parseCrl } from '../spiffe/index.ts';
import { buildParts, parsePart, parseSyncRequest, SyncReplica } from '../sync/index.ts';
import { buildSyncRequest } from '../sync/sync-request.ts';
import type { SyncLink } from './sync-hub.ts';

const id = agentIdOf('one');
const turn = () => new Promise((resolve) => setImmediate(resolve));
const key = await createMemoryKeyManager().generateKey('k', 'ec-p256');

async function makeCrl(authority: number, number: bigint): Promise<Crl> {
  const issuerKeyId = Uint8Array.of(authority);
  const signer = { key, issuerName: Uint8Array.of(0x30, 0), issuerKeyId };
  const revoked = writeCrlEntries([{ serialNumber: '0a', revokedAt: 1_000, reason: 'superseded' }]);
  return parseCrl(await writeCrl(signer, { number, thisUpdate: 0, nextUpdate: 1_000, revoked }));
}

/** An agent that has all it is sent by way of the wire. */
function connect(world: SyncWorld, takesCrls: boolean, former?: SyncReplica) {
  const [facts, position] = [former?.state(), former?.position()];
  const replica = new SyncReplica({
    trustDomain: testTrustDomain,
    agentVersion: '1',
    takesCrls,
    restored: facts && position && { facts, position },
  });
  const session = replica.connect();
  const hello = parseSyncRequest(buildSyncRequest(session.hello));
  if (hello.kind !== 'hello') throw new Error('no hello');
  const keys: string[][] = [];
  let link: SyncLink | undefined;
  const wake = (): void => {
    const update = link?.take();
    if (update === undefined) return;
    keys.push([
      ...update.items.map((item) => item.key),
      ...update.removed.map((each) => `-${each}`),
    ]);
    for (const part of buildParts(update, 100)) {
      const receipt = session.receive(parsePart(part));
      if ('reply' in receipt && receipt.reply.kind === 'applied')
        link?.acknowledge(receipt.reply.revision, receipt.reply.digest);
    }
  };
  link = world.hub.connect(id, hello, { wake, end: () => {} });
  wake();
  return { replica, keys };
}

function open(): SyncWorld {
  const world = new SyncWorld();
  onTestFinished(() => world.hub.close());
  world.putAgent(id, []);
  return world;
}

it('tells agents that take CRLs of them, and of what changes', async () => {
  const world = open();
  const [one, other] = [await makeCrl(1, 1n), await makeCrl(2, 1n)];
  world.setCrls(one, other);
  const agent = connect(world, true);
  expect(agent.keys).toEqual([['b:a.test', 'c:01', 'c:02']]);
  expect(agent.replica.state()?.crls?.map(({ der }) => der)).toEqual([one.der, other.der]);
  const next = await makeCrl(1, 2n);
  world.setCrls(next);
  await turn();
  expect(agent.keys.slice(1)).toEqual([['c:01', '-c:02']]);
  expect(agent.replica.state()?.crls).toMatchObject([{ authorityId: '01', number: 2n }]);
  // It goes on from what it kept.
  const again = connect(world, true, agent.replica);
  expect(again.keys).toEqual([[]]);
  expect(again.replica.state()?.crls).toHaveLength(1);
});

it('tells agents of an earlier release, or that take none, of none', async () => {
  const world = open();
  world.setCrls(await makeCrl(1, 1n));
  const agent = connect(world, false);
  world.setCrls(await makeCrl(1, 2n));
  await turn();
  expect(agent.keys).toEqual([['b:a.test']]);
  expect(agent.replica.state()?.crls).toBeUndefined();
  const hello = parseSyncRequest({ hello: { protocol_version: 1 } });
  expect(hello).toMatchObject({ takesCrls: false });
});
