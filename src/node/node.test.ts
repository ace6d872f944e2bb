import { copyFile } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { openFleet } from '../../test/fakes/open-fleet.ts';
import { bundleFileOf, openTestNode, pathsOf } from '../../test/fakes/open-test-node.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import { until } from '../../test/fakes/unix-place.ts';
import type { NodeAttestor } from '../api/attest-agent.ts';
import { createJoinTokenAttestation } from '../attest/index.ts';
import {
  type AgentFacts,
  buildCsr,
  generateP256KeyPair,
  parseX509Svid,
  SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { NodeIdentity } from './node-identity.ts';

type Fleet = Awaited<ReturnType<typeof openFleet>>;

const HALF_LIFE_MS = 30 * 60_000;

/** Time passes until it holds: 20 ms for each that really passes, or deadlines would outrun real TLS. */
async function inTime({ clock }: Fleet, holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 10_000; turn++) {
    if (holds()) return;
    clock.advance(20);
    await setTimeout(1);
  }
  throw new Error('it did not come about');
}

async function tokenOf(fleet: Fleet): Promise<string> {
  return (await fleet.tokens.create({ ttlSeconds: 60 })).token;
}

async function joined(fleet: Fleet) {
  const token = await tokenOf(fleet);
  const node = await openTestNode(fleet, { attestation: createJoinTokenAttestation(token) });
  await node.ready;
  const id = SpiffeId.parse(`spiffe://a.test/spire/agent/join_token/${token}`);
  return { node, id, parentId: id.toString() };
}

/** A node that says who it is, and may as often as it likes. */
function vouched(name: string) {
  const attestor: NodeAttestor = {
    name: 'vouched',
    async attest(payload, challenge) {
      const answer = await challenge(Buffer.from('who?'));
      return {
        agentPath: `/spire/agent/vouched/${Buffer.from(answer).toString()}`,
        selectors: [{ type: 'vouched', value: Buffer.from(payload).toString() }],
        canReattest: true,
      };
    },
  };
  let attempts = 0;
  const attestation = {
    name: 'vouched',
    async begin() {
      attempts++;
      return { payload: Buffer.from('rack-1'), answer: async () => Buffer.from(name) };
    },
  };
  const id = SpiffeId.parse(`spiffe://a.test/spire/agent/vouched/${name}`);
  return { attestor, attestation, id, attempts: () => attempts };
}

const kinds = [
  ['asks', false],
  ['is told', true],
] as const;

describe.each(kinds)('a node that joins and %s', (_, pushes) => {
  it('knows its entries and the bundle, and has SVIDs issued, item by item', async () => {
    const fleet = await openFleet({ pushes });
    const { node, id, parentId } = await joined(fleet);
    expect(node.status()).toMatchObject({ server: `127.0.0.1:${fleet.port}`, faults: [] });
    expect(node.status().agentId?.toString()).toBe(id.toString());
    const { entry } = await fleet.entries.create(testDraft('web', undefined, { parentId }));
    await inTime(fleet, () => pathsOf(node).includes('/web'));
    expect(node.trust.current().own.sequenceNumber).toBe(
      fleet.trustMap.current().own.sequenceNumber,
    );
    const keys = generateP256KeyPair();
    const csr = buildCsr({ ...keys, spiffeId: SpiffeId.parse('spiffe://a.test/web') });
    const [granted, refused] = await node.issuer.issue([
      { entryId: entry.id, csr },
      { entryId: 'none', csr },
    ]);
    if (granted === undefined || 'error' in granted) throw new Error('no SVID');
    expect(parseX509Svid(granted.certificateChain).spiffeId.path).toBe('/web');
    expect(refused).toMatchObject({ error: { code: 'ERR_REMOTE_PERMISSION' } });
    await fleet.entries.delete(entry.id);
    await inTime(fleet, () => pathsOf(node).length === 0);
  });

  it('is told that its token is spent, and does not try again', async () => {
    const fleet = await openFleet({ pushes });
    const attestation = createJoinTokenAttestation(await tokenOf(fleet));
    await (await openTestNode(fleet, { attestation })).ready;
    const second = await openTestNode(fleet, { attestation });
    await expect(second.ready).rejects.toMatchObject({
      code: 'ERR_JOIN_TOKEN_UNUSABLE',
      message: expect.stringContaining('spent'),
    });
  });

  it('believes no server of another authority, and tells it nothing', async () => {
    const [fleet, other] = [await openFleet({ pushes }), await openFleet({ pushes })];
    const path = await bundleFileOf(other.trustMap.current().own);
    const token = await tokenOf(fleet);
    const attestation = createJoinTokenAttestation(token);
    const node = await openTestNode(fleet, { attestation, bootstrap: { kind: 'file', path } });
    await expect(node.ready).rejects.toMatchObject({ code: 'ERR_NODE_SERVER' });
    await (await openTestNode(fleet, { attestation })).ready;
  });

  it('believes the first that answers only where that is asked for', async () => {
    const fleet = await openFleet({ pushes });
    const attestation = createJoinTokenAttestation(await tokenOf(fleet));
    const none = await openTestNode(fleet, { attestation, bootstrap: undefined });
    await expect(none.ready).rejects.toMatchObject({ code: 'ERR_NODE_BOOTSTRAP' });
    const node = await openTestNode(fleet, { attestation, bootstrap: { kind: 'insecure' } });
    await node.ready;
    expect(node.trust.current().own.x509Authorities).toHaveLength(1);
  });

  it('comes back to a server that has too much to do', async () => {
    const { attestor, attestation, attempts } = vouched('n1');
    const busy = new TrustplaneError('ERR_API_RATE_LIMIT', 'at most 1 attestation a second');
    const attest = vi.spyOn(attestor, 'attest').mockRejectedValueOnce(busy);
    const fleet = await openFleet({ pushes, attestors: [attestor] });
    const node = await openTestNode(fleet, { attestation });
    await until(() => node.status().faults.length > 0);
    expect(node.status().faults[0]?.code).toBe('ERR_API_RATE_LIMIT');
    await fleet.clock.advanceAsync(1_000);
    await node.ready;
    expect([attempts(), attest.mock.calls.length]).toEqual([2, 2]);
  });

  it('waits for a server to be there', async () => {
    const fleet = await openFleet({ pushes });
    const attestation = createJoinTokenAttestation(await tokenOf(fleet));
    await fleet.stop();
    const node = await openTestNode(fleet, { attestation });
    await until(() => node.status().faults.length > 0);
    expect(node.status().faults[0]?.code).toBe('ERR_NODE_UNREACHABLE');
    await fleet.restart();
    await inTime(fleet, () => node.status().agentId !== undefined);
    await node.ready;
  });
});

describe.each(kinds)('a node that has joined and %s', (_, pushes) => {
  it('renews at half of its life, and goes on with the new SVID', async () => {
    const fleet = await openFleet({ pushes });
    const { node, id } = await joined(fleet);
    const first = node.status().expiresAt;
    fleet.clock.advance(HALF_LIFE_MS + 1_000);
    await inTime(fleet, () => node.status().expiresAt !== first);
    await inTime(fleet, () => fleet.agents.get(id)?.renewedSvid === undefined);
    expect(fleet.agents.get(id)?.svid.expiresAt).toBe(node.status().expiresAt);
    await inTime(fleet, () => node.status().faults.length === 0);
  });

  it('renews at once when its authority is tainted', async () => {
    const fleet = await openFleet({ pushes });
    const { node } = await joined(fleet);
    const first = node.status().expiresAt;
    const [authority] = fleet.trustMap.current().own.x509Authorities;
    fleet.clock.advance(60_000);
    if (authority === undefined) throw new Error('no authority');
    await fleet.ownBundle.publisherFor('s1').taint(authority.certificate);
    await inTime(fleet, () => node.status().expiresAt !== first);
    await inTime(fleet, () => node.status().faults.length === 0);
    expect(fleet.clock.now()).toBeLessThan((first ?? 0) - HALF_LIFE_MS);
  });

  it('renews again soon when its authority is tainted while the renewal is under way', async () => {
    const fleet = await openFleet({ pushes });
    const [authority] = fleet.trustMap.current().own.x509Authorities;
    if (authority === undefined) throw new Error('no authority');
    const isTainted = (): boolean =>
      node.trust.current().own.x509Authorities.some(({ tainted }) => tainted);
    let saves = 0;
    const node = await openTestNode(fleet, {
      attestation: createJoinTokenAttestation(await tokenOf(fleet)),
      async saveIdentity() {
        if (++saves !== 2) return;
        await fleet.ownBundle.publisherFor('s1').taint(authority.certificate);
        await inTime(fleet, isTainted);
      },
    });
    await node.ready;
    fleet.clock.advance(HALF_LIFE_MS + 1_000);
    await inTime(fleet, () => saves === 2);
    await inTime(fleet, isTainted);
    await inTime(fleet, () => saves === 3);
    await inTime(fleet, () => node.status().faults.length === 0);
    expect(node.status().expiresAt).toBeGreaterThan(fleet.clock.now() + HALF_LIFE_MS);
  });

  it('attests again when its authority was tainted and revoked before it heard of either', async () => {
    const fleet = await openFleet({ pushes });
    const { node } = await joined(fleet);
    const before = fleet.ca.status().authorities.find(({ state }) => state === 'active');
    const next = await fleet.ca.prepare();
    await inTime(fleet, () => node.trust.current().own.x509Authorities.length === 2);
    await fleet.ca.activate(next.authorityId, { force: true });
    // With an SVID of the next authority; connections that are open stay.
    await fleet.listenToo();
    await fleet.ca.taint(before?.authorityId ?? '');
    await fleet.ca.revoke(before?.authorityId ?? '');
    await inTime(fleet, () => node.trust.current().own.x509Authorities.length === 1);
    await inTime(fleet, () => node.status().faults.length === 0);
    expect(await node.issuer.issue([])).toEqual([]);
  });

  it('attests again at half of its life, and when it was evicted', async () => {
    const { attestor, attestation, id, attempts } = vouched('n1');
    const fleet = await openFleet({ pushes, attestors: [attestor] });
    const node = await openTestNode(fleet, { attestation });
    await node.ready;
    const first = node.status().expiresAt;
    expect(fleet.agents.get(id)?.selectors).toEqual([{ type: 'vouched', value: 'rack-1' }]);
    fleet.clock.advance(HALF_LIFE_MS + 1_000);
    await inTime(fleet, () => node.status().expiresAt !== first);
    expect(attempts()).toBe(2);
    await fleet.agents.delete(id);
    await inTime(fleet, () => fleet.agents.get(id) !== undefined);
    expect(attempts()).toBe(3);
  });

  it('serves nothing while it is banned, asks once a minute, and comes back when it may', async () => {
    const { attestor, attestation, id, attempts } = vouched('n1');
    const fleet = await openFleet({ pushes, attestors: [attestor] });
    await fleet.entries.create(testDraft('web', undefined, { parentId: id.toString() }));
    const node = await openTestNode(fleet, { attestation });
    await node.ready;
    expect(pathsOf(node)).toEqual(['/web']);
    await fleet.agents.ban(id);
    await inTime(fleet, () => pathsOf(node).length === 0);
    expect(node.status().faults[0]?.code).toBe('ERR_AGENT_BANNED');
    const before = attempts();
    for (let tick = 0; tick < 3_000; tick++) await fleet.clock.advanceAsync(100);
    expect(attempts() - before).toBeLessThanOrEqual(6);
    await fleet.agents.delete(id);
    await inTime(fleet, () => pathsOf(node).length === 1);
    await inTime(fleet, () => node.status().faults.length === 0);
  });

  it('serves nothing while it is suspended, asks every 5 s, and comes back with another SVID', async () => {
    const { attestor, attestation, id, attempts } = vouched('n1');
    const fleet = await openFleet({ pushes, attestors: [attestor] });
    const { revocations, clock } = fleet;
    await fleet.entries.create(testDraft('web', undefined, { parentId: id.toString() }));
    const node = await openTestNode(fleet, { attestation });
    await node.ready;
    const first = node.identity();
    const subject = { kind: 'agent', value: id.toString(), reason: '', by: 'test' } as const;
    await revocations.suspensions.suspend(subject);
    const issuedBefore = clock.now() + 1;
    await revocations.add({ ...subject, issuedBefore, expiresAt: issuedBefore + 3_600_000 });
    await inTime(fleet, () => pathsOf(node).length === 0);
    expect(node.status().faults[0]?.code).toBe('ERR_AGENT_SUSPENDED');
    const before = attempts();
    for (let tick = 0; tick < 300; tick++) await clock.advanceAsync(100);
    expect(attempts() - before).toBeGreaterThanOrEqual(3);
    expect(attempts() - before).toBeLessThanOrEqual(7);
    await revocations.suspensions.lift(subject);
    await inTime(fleet, () => pathsOf(node).length === 1);
    expect(node.identity()?.certificateChain).not.toEqual(first?.certificateChain);
  });

  it('gets another SVID when its own is revoked, and serves on meanwhile', async () => {
    const fleet = await openFleet({ pushes });
    const { node, id, parentId } = await joined(fleet);
    await fleet.entries.create(testDraft('web', undefined, { parentId }));
    await inTime(fleet, () => pathsOf(node).includes('/web'));
    const first = node.identity();
    const now = fleet.clock.now();
    const instants = { issuedBefore: now + 1, expiresAt: now + 3_600_000 };
    const subject = { kind: 'agent', value: id.toString(), reason: '' } as const;
    await fleet.revocations.add({ ...subject, ...instants });
    await inTime(fleet, () => {
      expect(pathsOf(node)).toContain('/web');
      return node.identity()?.certificateChain !== first?.certificateChain;
    });
    await fleet.entries.create(testDraft('db', undefined, { parentId }));
    await inTime(fleet, () => pathsOf(node).includes('/db'));
  });

  it('goes to other servers when it is told to', async () => {
    const fleet = await openFleet({ pushes });
    const { node, id, parentId } = await joined(fleet);
    await inTime(fleet, () => fleet.agents.get(id)?.agentVersion === '0.0.0-test');
    const other = await fleet.listenToo();
    node.setServers([{ host: '127.0.0.1', port: other.port }]);
    await inTime(fleet, () => node.status().server === `127.0.0.1:${other.port}`);
    await fleet.stop();
    await fleet.entries.create(testDraft('web', undefined, { parentId }));
    await inTime(fleet, () => pathsOf(node).includes('/web'));
    await inTime(fleet, () => node.status().faults.length === 0);
    expect(node.status().server).toBe(`127.0.0.1:${other.port}`);
  });

  it('loses nothing while no server answers', async () => {
    const fleet = await openFleet({ pushes });
    const { node, parentId } = await joined(fleet);
    await fleet.entries.create(testDraft('web', undefined, { parentId }));
    await inTime(fleet, () => pathsOf(node).includes('/web'));
    await fleet.stop();
    await inTime(fleet, () => node.status().faults.length > 0);
    expect(pathsOf(node)).toEqual(['/web']);
    await fleet.entries.create(testDraft('api', undefined, { parentId }));
    await fleet.restart();
    await inTime(fleet, () => pathsOf(node).length === 2);
  });
});

it('says how far its clock and that of its server are apart (F16)', async () => {
  const fleet = await openFleet();
  const clock = new FakeClock(fleet.clock.now() + 25_000);
  const attestation = createJoinTokenAttestation(await tokenOf(fleet));
  const node = await openTestNode(fleet, { attestation, clock });
  await node.ready;
  expect(node.status().clockFault).toContain('is 25 s ahead of that of the server 127.0.0.1:');
});

it('tells the servers what those it serves have, on each stream anew', async () => {
  const fleet = await openFleet({ pushes: true });
  const { node, parentId } = await joined(fleet);
  node.confirm({ bundleDigest: 'ab'.repeat(32), laggards: [] });
  await until(() => fleet.confirmed.get(parentId) === 'ab'.repeat(32));
  fleet.confirmed.clear();
  await fleet.stop();
  await fleet.restart();
  await inTime(fleet, () => fleet.confirmed.has(parentId));
  expect(fleet.confirmed.get(parentId)).toBe('ab'.repeat(32));
});

it.each([
  ['', 0],
  [', and the clock was ahead for a while', HALF_LIFE_MS - 60_000],
])(
  'attests again when its authority was revoked while no server answered%s',
  async (_, aheadMs) => {
    const { attestor, attestation, id } = vouched('n1');
    const fleet = await openFleet({ pushes: true, attestors: [attestor] });
    const node = await openTestNode(fleet, { attestation });
    await node.ready;
    const first = fleet.agents.get(id)?.svid.serialNumber;
    const before = fleet.ca.status().authorities.find(({ state }) => state === 'active');
    const next = await fleet.ca.prepare();
    await inTime(fleet, () => node.trust.current().own.x509Authorities.length === 2);
    const { clock } = fleet;
    clock.jump(clock.now() + aheadMs);
    await fleet.stop();
    await inTime(fleet, () => node.status().faults.length > 0);
    clock.jump(clock.now() - aheadMs);
    await fleet.ca.activate(next.authorityId, { force: true });
    await fleet.ca.taint(before?.authorityId ?? '');
    await fleet.ca.revoke(before?.authorityId ?? '');
    await fleet.restart();
    await inTime(fleet, () => fleet.agents.get(id)?.svid.serialNumber !== first);
    await inTime(fleet, () => node.status().faults.length === 0);
    expect(node.trust.current().own.x509Authorities).toHaveLength(1);
  },
);

describe('a node that cannot keep its next SVID', () => {
  async function full() {
    const fleet = await openFleet({ pushes: true });
    const disk: { failure?: TrustplaneError | undefined; kept?: NodeIdentity } = {};
    const node = await openTestNode(fleet, {
      attestation: createJoinTokenAttestation(await tokenOf(fleet)),
      async saveIdentity(identity) {
        if (disk.failure !== undefined) throw disk.failure;
        disk.kept = identity;
      },
    });
    await node.ready;
    const id = node.status().agentId;
    if (id === undefined) throw new Error('no agent');
    const first = node.status().expiresAt;
    disk.failure = new TrustplaneError('ERR_STORE_FULL', 'no room left');
    fleet.clock.advance(HALF_LIFE_MS + 1_000);
    await inTime(fleet, () => node.status().faults[0]?.code === 'ERR_STORE_FULL');
    return { fleet, disk, node, id, first };
  }

  it('goes on with the one it has kept, and uses the next when that is kept too', async () => {
    const { fleet, disk, node, id, first } = await full();
    expect(node.status().expiresAt).toBe(first);
    const serial = fleet.agents.get(id)?.renewedSvid?.serialNumber;
    expect(serial).toBeDefined();
    for (let tick = 0; tick < 100; tick++) await fleet.clock.advanceAsync(1_000);
    expect(await node.issuer.issue([])).toEqual([]);
    expect(fleet.agents.get(id)?.renewedSvid?.serialNumber).toBe(serial);
    disk.failure = undefined;
    await inTime(fleet, () => node.status().expiresAt !== first);
    await inTime(fleet, () => fleet.agents.get(id)?.svid.serialNumber === serial);
    expect(disk.kept?.expiresAt).toBe(node.status().expiresAt);
    await inTime(fleet, () => node.status().faults.length === 0);
  });

  it('uses it all the same before the one it has ends', async () => {
    const { fleet, node, id, first } = await full();
    const serial = fleet.agents.get(id)?.renewedSvid?.serialNumber;
    expect(serial).toBeDefined();
    fleet.clock.advance(HALF_LIFE_MS - 5 * 60_000);
    await inTime(fleet, () => node.status().expiresAt !== first);
    await inTime(fleet, () => fleet.agents.get(id)?.svid.serialNumber === serial);
  });
});

it('notices at the next use that it slept over the end of its SVID', async () => {
  const fleet = await openFleet({ pushes: true });
  const { node } = await joined(fleet);
  fleet.clock.jump(fleet.clock.now() + 2 * 3_600_000);
  await fleet.stop();
  await fleet.restart();
  const nothing = { code: 'ERR_NODE_NO_IDENTITY' };
  await expect(node.issuer.issue([])).rejects.toMatchObject(nothing);
  await inTime(fleet, () => node.status().agentId !== undefined);
  await inTime(fleet, () => node.status().faults.length === 0);
  expect(await node.issuer.issue([])).toEqual([]);
});

it('forgets what went wrong while the clock was ahead', async () => {
  const fleet = await openFleet({ pushes: true });
  const { node } = await joined(fleet);
  const now = fleet.clock.now();
  await fleet.stop();
  fleet.clock.jump(now + 10 * 3_600_000);
  await inTime(fleet, () => node.status().faults.length === 2);
  fleet.clock.jump(now + 60_000);
  await fleet.restart();
  await inTime(fleet, () => node.status().faults.length === 0);
  expect(await node.issuer.issue([])).toEqual([]);
});

describe('a node that was away for long', () => {
  const HOUR_MS = 3_600_000;

  /** Lets the server live on for some hours; it has another SVID then. */
  async function pass(fleet: Fleet, hours: number): Promise<void> {
    await fleet.stop();
    for (let hour = 0; hour < hours; hour++) await fleet.clock.advanceAsync(HOUR_MS);
    await fleet.restart();
  }

  /** A node that joined with a token and ended; what it kept, and what it is configured with. */
  async function left(fleet: Fleet) {
    const saved: { identity?: NodeIdentity; facts?: AgentFacts } = {};
    const attestation = createJoinTokenAttestation(await tokenOf(fleet));
    const path = await bundleFileOf(fleet.trustMap.current().own);
    const bootstrap = { kind: 'file', path } as const;
    const node = await openTestNode(fleet, {
      attestation,
      bootstrap,
      saveIdentity: async (identity) => void (saved.identity = identity),
      saveFacts: (facts) => void (saved.facts = facts),
    });
    await node.ready;
    const id = node.status().agentId;
    if (id === undefined) throw new Error('no agent');
    await node.close();
    return { id, path, options: { attestation, bootstrap, restored: saved } };
  }

  it('comes back with its last key, without a new token (F2)', async () => {
    const fleet = await openFleet({ pushes: true });
    const { id, options } = await left(fleet);
    await pass(fleet, 5);
    const node = await openTestNode(fleet, options);
    await inTime(fleet, () => node.status().agentId !== undefined);
    await node.ready;
    expect(node.status().agentId?.toString()).toBe(id.toString());
    await inTime(fleet, () => fleet.agents.get(id)?.renewedSvid === undefined);
  });

  it('does not take a busy server for one that refuses its last key (F2)', async () => {
    const fleet = await openFleet({ pushes: true });
    const { id, options } = await left(fleet);
    await pass(fleet, 5);
    const conflict = new TrustplaneError('ERR_AGENT_CONFLICT', 'changed by others meanwhile');
    vi.spyOn(fleet.agents, 'readmit').mockRejectedValueOnce(conflict);
    const spend = vi.spyOn(fleet.tokens, 'spend');
    const node = await openTestNode(fleet, options);
    await inTime(fleet, () => node.status().agentId !== undefined);
    expect(node.status().agentId?.toString()).toBe(id.toString());
    expect(spend).not.toHaveBeenCalled();
  });

  it('stays out when it was banned meanwhile (F2)', async () => {
    const fleet = await openFleet({ pushes: true });
    const { id, options } = await left(fleet);
    await fleet.agents.ban(id);
    await pass(fleet, 5);
    const node = await openTestNode(fleet, options);
    await inTime(fleet, () => node.status().faults.length > 0);
    expect(node.status()).toMatchObject({
      agentId: undefined,
      faults: [{ code: 'ERR_AGENT_BANNED' }],
    });
  });

  it('bootstraps again when it knows none of the authorities any more, and only as configured (F2)', async () => {
    const fleet = await openFleet({ pushes: true });
    const { path, options } = await left(fleet);
    await pass(fleet, 60);
    const node = await openTestNode(fleet, options);
    await inTime(fleet, () => node.status().faults.length > 0);
    expect(node.status().faults[0]?.code).toBe('ERR_NODE_SERVER');
    await copyFile(await bundleFileOf(fleet.trustMap.current().own), path);
    await inTime(fleet, () => node.status().agentId !== undefined);
    await inTime(fleet, () => node.status().faults.length === 0);
  });

  it('keeps the bundle before its first SVID', async () => {
    const fleet = await openFleet({ pushes: true });
    const kept: (number | 'SVID')[] = [];
    const node = await openTestNode(fleet, {
      attestation: createJoinTokenAttestation(await tokenOf(fleet)),
      saveFacts: ({ trust }) => void kept.push(trust.own.x509Authorities.length),
      saveIdentity: async () => void kept.push('SVID'),
    });
    await node.ready;
    expect(kept.slice(0, 2)).toEqual([1, 'SVID']);
  });

  it('comes back at once when it has its SVID but not the bundle any more', async () => {
    const fleet = await openFleet({ pushes: true });
    const { id, options } = await left(fleet);
    const { identity } = options.restored;
    const node = await openTestNode(fleet, { ...options, restored: { identity } });
    await inTime(fleet, () => node.facts.isComplete && node.status().faults.length === 0);
    expect(node.status()).toMatchObject({ agentId: id });
  });

  it('believes no stranger again, whatever it was told at the beginning (F2)', async () => {
    const [fleet, stranger] = [
      await openFleet({ pushes: true }),
      await openFleet({ pushes: true }),
    ];
    const { options } = await left(fleet);
    const { identity } = options.restored;
    await pass(fleet, 5);
    const servers = [{ host: '127.0.0.1', port: stranger.port }];
    const insecure = { ...options, servers, bootstrap: { kind: 'insecure' } } as const;
    const restoredStates = [
      [options.restored, 'ERR_NODE_SERVER'],
      [identity && { identity }, 'ERR_NODE_BOOTSTRAP'],
    ] as const;
    for (const [restored, code] of restoredStates) {
      const node = await openTestNode(fleet, { ...insecure, restored });
      await inTime(fleet, () => node.status().faults.length > 0);
      expect(node.status().faults[0]?.code).toBe(code);
      const { x509Authorities } = node.trust.current().own;
      expect(x509Authorities).not.toContainEqual(
        stranger.trustMap.current().own.x509Authorities[0],
      );
    }
  });
});
