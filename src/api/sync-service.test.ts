import { status } from '@grpc/grpc-js';
import { describe, expect, it, vi } from 'vitest';
import { settle } from '../../test/fakes/fake-clock.ts';
import { type FleetClient, type FleetIdentity, openFleet } from '../../test/fakes/open-fleet.ts';
import { testDraft, testTrustDomain } from '../../test/fakes/test-entries.ts';
import { bundleDigest, generateP256KeyPair, SpiffeId } from '../spiffe/index.ts';
import {
  buildSyncRequest,
  parsePart,
  type SyncReceipt,
  SyncReplica,
  type SyncRequest,
} from '../sync/index.ts';
import { syncServiceLimits } from './sync-service.ts';

type Fleet = Awaited<ReturnType<typeof openFleet>>;

/** An agent's end of a stream; it acknowledges on request only. */
function follow(client: FleetClient, replica = newReplica()) {
  const stream = client.stream('Sync.Sync');
  const session = replica.connect();
  const say = (request: SyncRequest): void => stream.send(buildSyncRequest(request));
  say(session.hello);
  /** Up to the end of the next update. */
  const read = async (): Promise<SyncReceipt> => {
    for (;;) {
      const message = await stream.read();
      if (message === undefined) throw new Error('the stream ended');
      const receipt = session.receive(parsePart(message));
      if (receipt.kind !== 'partial') return receipt;
    }
  };
  const take = async (): Promise<SyncReceipt> => {
    const receipt = await read();
    if ('reply' in receipt) say(receipt.reply);
    return receipt;
  };
  return { ...stream, replica, say, read, take };
}

function newReplica(): SyncReplica {
  return new SyncReplica({ trustDomain: testTrustDomain, agentVersion: '1.2.3' });
}

async function openWith(count: number) {
  const fleet = await openFleet({ pushes: true });
  const identity = await fleet.join();
  for (let index = 0; index < count; index++) await addEntry(fleet, identity, `w${index}`);
  return { fleet, identity, client: fleet.dial(identity) };
}

/** The same, and the agent has a stream. */
async function followWith(count: number) {
  const opened = await openWith(count);
  return { ...opened, stream: follow(opened.client) };
}

async function addEntry(fleet: Fleet, { id: parentId }: FleetIdentity, id: string): Promise<void> {
  await fleet.entries.create(testDraft(id, undefined, { id, parentId }));
}

const entriesOf = ({ replica }: ReturnType<typeof follow>): string[] =>
  [...(replica.state()?.entries.keys() ?? [])].sort();

describe('Sync', () => {
  it('tells an agent everything, and then what changes', async () => {
    const { fleet, identity, stream } = await followWith(2);
    expect(await stream.take()).toMatchObject({ kind: 'applied' });
    expect(entriesOf(stream)).toEqual(['w0', 'w1']);
    expect(stream.replica.state()?.trust.own.x509Authorities).toHaveLength(1);
    await addEntry(fleet, identity, 'w2');
    await stream.take();
    expect(entriesOf(stream)).toEqual(['w0', 'w1', 'w2']);
    await fleet.entries.delete('w0');
    await stream.take();
    expect(entriesOf(stream)).toEqual(['w1', 'w2']);
    const revocation = { kind: 'entry', value: 'w0', reason: 'gone' } as const;
    const expiresAt = fleet.clock.now() + 60_000;
    await fleet.revocations.add({ ...revocation, issuedBefore: fleet.clock.now(), expiresAt });
    await stream.take();
    expect(stream.replica.state()?.revocations).toMatchObject([revocation]);
  });

  it('has one update under way, and the next holds all that changed meanwhile', async () => {
    const { fleet, identity, stream } = await followWith(0);
    const first = await stream.read();
    for (const id of ['a', 'b', 'c']) await addEntry(fleet, identity, id);
    await fleet.entries.delete('a');
    await settle();
    expect(entriesOf(stream)).toEqual([]);
    if ('reply' in first) stream.say(first.reply);
    await stream.take();
    expect(entriesOf(stream)).toEqual(['b', 'c']);
  });

  it('goes on where a stream broke off', async () => {
    const { fleet, identity, client, stream } = await followWith(2);
    await stream.take();
    const held = stream.replica.state()?.entries.get('w0');
    stream.cancel();
    await vi.waitFor(() => expect(fleet.connections.at(-1)).toMatch(/^-/u));
    await addEntry(fleet, identity, 'w2');
    const again = follow(client, stream.replica);
    const message = await again.take();
    expect(message).toMatchObject({ kind: 'applied' });
    expect(entriesOf(again)).toEqual(['w0', 'w1', 'w2']);
    // A snapshot would have brought it anew.
    expect(again.replica.state()?.entries.get('w0')).toBe(held);
  });

  it('sends a snapshot to an agent that stands elsewhere', async () => {
    const { client, stream } = await followWith(1);
    await stream.take();
    const { replica } = stream;
    const held = replica.state();
    const position = replica.position();
    if (held === undefined || position === undefined) throw new Error('nothing was applied');
    const restored = {
      facts: { ...held, entries: new Map() },
      position: { ...position, revision: 7 },
    };
    const options = { trustDomain: testTrustDomain, agentVersion: '', restored };
    const other = follow(client, new SyncReplica(options));
    expect(await other.take()).toMatchObject({ kind: 'applied' });
    expect(entriesOf(other)).toEqual(['w0']);
  });

  it('splits what is large, and an agent takes it whole or not at all', async () => {
    const { fleet, identity, client } = await openWith(0);
    const hint = 'x'.repeat(1024);
    const dnsNames = Array.from({ length: 60 }, (_, index) => `${'a'.repeat(60)}${index}.test`);
    for (let index = 0; index < 400; index++) {
      const draft = testDraft(`w${index}`, undefined, { hint, dnsNames, parentId: identity.id });
      await fleet.entries.create({ ...draft, id: `w${index}` });
    }
    const stream = client.stream('Sync.Sync');
    const replica = newReplica();
    const session = replica.connect();
    stream.send(buildSyncRequest(session.hello));
    const kinds: string[] = [];
    while (kinds.at(-1) !== 'applied') {
      const message = await stream.read();
      expect(message?.entries?.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(1 << 20);
      expect(replica.state()).toBeUndefined();
      if (message) kinds.push(session.receive(parsePart(message)).kind);
    }
    expect(kinds.length).toBeGreaterThan(1);
    expect(replica.state()?.entries.size).toBe(400);
  });

  it('sends a snapshot after an update that was discarded, and ends when that is discarded too', async () => {
    const { fleet, identity, stream } = await followWith(1);
    await stream.take();
    await addEntry(fleet, identity, 'w1');
    const update = await stream.read();
    if (update.kind !== 'applied') throw new Error(update.kind);
    const digest = '0'.repeat(64);
    stream.say({ kind: 'applied', revision: update.position.revision, digest });
    const snapshot = await stream.read();
    if (snapshot.kind !== 'applied') throw new Error(snapshot.kind);
    expect(entriesOf(stream)).toEqual(['w0', 'w1']);
    stream.say({ kind: 'applied', revision: snapshot.position.revision, digest });
    await expect(stream.read()).rejects.toMatchObject({ code: status.ABORTED });
  });

  it('notes versions, connections and what is confirmed', async () => {
    const { fleet, identity, client, stream } = await followWith(0);
    await stream.take();
    const digest = bundleDigest(fleet.trustMap.current().own);
    stream.say({ kind: 'confirmed', bundleDigest: digest, laggards: [] });
    await vi.waitFor(() => expect(fleet.confirmed.get(identity.id)).toBe(digest));
    const id = SpiffeId.parse(identity.id);
    expect(fleet.agents.get(id)?.agentVersion).toBe('1.2.3');
    const second = follow(client);
    await second.take();
    await expect(stream.read()).rejects.toMatchObject({ code: status.ABORTED });
    const [came, went] = [`+${id.path}`, `-${id.path}`];
    // Of the stream whose place was taken too: an agent with a stream that never ends is waited for.
    await vi.waitFor(() => expect(fleet.connections).toEqual([came, came, went]));
    second.cancel();
    await vi.waitFor(() => expect(fleet.connections).toEqual([came, came, went, went]));
  });

  it('is not for anybody but agents', async () => {
    const { fleet } = await openWith(0);
    const workload = fleet.dial(await fleet.issueIdentity('spiffe://a.test/web'));
    for (const client of [fleet.dial(), workload]) {
      await expect(follow(client).read()).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    }
  });

  it.each([
    ['is banned', (fleet: Fleet, id: SpiffeId) => fleet.agents.ban(id)],
    ['is evicted', (fleet: Fleet, id: SpiffeId) => fleet.agents.delete(id)],
  ])('ends when the agent %s, and tells it nothing more', async (_, act) => {
    const { fleet, identity, stream } = await followWith(0);
    await stream.take();
    await act(fleet, SpiffeId.parse(identity.id));
    await addEntry(fleet, identity, 'late');
    await expect(stream.read()).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    expect(entriesOf(stream)).toEqual([]);
  });

  it('ends when the SVID of its connection is replaced by one in use', async () => {
    const { fleet, identity, stream } = await followWith(0);
    await stream.take();
    const id = SpiffeId.parse(identity.id);
    const renewed = { serialNumber: 'abcd', expiresAt: fleet.clock.now() + 60_000 };
    await fleet.agents.renew(id, Uint8Array.of(1), () => renewed);
    await fleet.agents.authorize(id, renewed);
    await expect(stream.read()).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
  });

  it('does not end the stream of an SVID in use when one that was replaced says hello', async () => {
    const { fleet, identity, client } = await openWith(0);
    const stale = client.stream('Sync.Sync');
    // The call has begun when another on the same connection is answered.
    await client.call('Entry.GetAuthorizedEntries', {});
    const id = SpiffeId.parse(identity.id);
    const keys = generateP256KeyPair();
    const next = await fleet.ca.issueX509Svid({
      spiffeId: id,
      publicKey: keys.publicKey,
      ttlSeconds: 0,
      dnsNames: [],
    });
    await fleet.agents.renew(id, keys.publicKey, () => next);
    const good = follow(fleet.dial({ ...next, privateKey: keys.privateKey }));
    await good.take();
    stale.send(buildSyncRequest(newReplica().connect().hello));
    await expect(stale.read()).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
    await addEntry(fleet, identity, 'w0');
    await good.take();
    expect(entriesOf(good)).toEqual(['w0']);
    expect(fleet.connections).toEqual([`+${id.path}`]);
  });

  it('ends when its SVID expires, without any change', async () => {
    const { fleet, stream } = await followWith(0);
    await stream.take();
    await settle();
    fleet.clock.jump(fleet.clock.now() + 48 * 3_600_000);
    fleet.clock.advance(syncServiceLimits.judgeMs);
    await expect(stream.read()).rejects.toMatchObject({ code: expect.any(Number) });
  });

  it('ends when the agent does not say that an update took effect', async () => {
    const { fleet, stream } = await followWith(0);
    await stream.read();
    await settle();
    fleet.clock.advance(syncServiceLimits.silenceMs);
    await expect(stream.read()).rejects.toMatchObject({
      code: status.ABORTED,
      details: expect.stringContaining('within 60 s'),
    });
  });

  it.each([
    ['nothing', {}],
    ['an acknowledgement', { applied: { revision: '1', digest: Buffer.alloc(32) } }],
    ['no version', { hello: {} }],
    [
      'a malformed position',
      {
        hello: { protocol_version: 1, resume: { epoch: 'e', revision: '1', digest: Buffer.of(1) } },
      },
    ],
  ])('refuses a stream that begins with %s', async (_, message) => {
    const { client } = await openWith(0);
    const stream = client.stream('Sync.Sync');
    stream.send(message);
    await expect(stream.read()).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it('refuses a second hello', async () => {
    const { stream } = await followWith(0);
    await stream.take();
    stream.say({ kind: 'hello', resume: undefined, agentVersion: '', takesTerms: true });
    await expect(stream.read()).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});
