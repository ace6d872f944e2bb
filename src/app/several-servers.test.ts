import { describe, expect, it } from 'vitest';
import { ControlPlaneWorld, type TestServer } from '../../test/fakes/control-plane.ts';
import { settle } from '../../test/fakes/fake-clock.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import { joinAuthorities } from '../ca/index.ts';
import { bundleDigest, issueInstant, SpiffeId } from '../spiffe/index.ts';
import { SyncReplica } from '../sync/index.ts';
import { kindOf } from '../sync/sync-item.ts';
import { createFreshFacts, issuingFresh } from './fresh-facts.ts';

const agent = SpiffeId.parse('spiffe://a.test/spire/agent/test/one');

/** Of an agent that has what the server tells it now. */
function confirm(server: TestServer, id: SpiffeId): void {
  server.evidence.onConfirmed(id, bundleDigest(server.trust.current().own), []);
}

function authoritiesOf({ ca }: TestServer): Record<string, string> {
  return Object.fromEntries(
    ca.status().authorities.map(({ authorityId, state }) => [state, authorityId]),
  );
}

function taintedIn({ trust }: TestServer): number {
  return trust.current().own.x509Authorities.filter(({ tainted }) => tainted).length;
}

describe('authorities of several servers', () => {
  it('stand in one bundle, and each server believes what another signed', async () => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one');
    const two = await world.start('two');
    expect(one.trust.current().own.x509Authorities).toHaveLength(2);
    expect(one.trust.current().own).toEqual(two.trust.current().own);
    for (const [signer, peer] of [
      [one, two],
      [two, one],
    ] as const) {
      peer.verify(await signer.issue('web'));
    }
  });

  it('of a server that joins sign when the agents of the others know them, and not before', async () => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one');
    one.evidence.onConnected(agent);
    confirm(one, agent);
    await world.advance(31_000);
    const two = await world.start('two', { isWaiting: true });
    await world.advance(60_000);
    await expect(two.issue('web')).rejects.toMatchObject({ code: 'ERR_CA_EXPIRED' });
    expect(two.ca.status().gate?.behind).toEqual([
      { who: `${agent.toString()} (server one)`, why: 'has not confirmed a bundle with it' },
    ]);
    confirm(one, agent);
    await world.during(two.ca.active);
    one.verify(await two.issue('web'));
  });

  it('become active when the agents of all servers know them', async () => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one');
    const two = await world.start('two');
    two.evidence.onConnected(agent);
    confirm(two, agent);
    await world.advance(31_000);
    const { authorityId } = await one.ca.prepare();
    await world.advance(10_000);
    expect(one.ca.status().gate?.behind.map(({ who }) => who)).toEqual([
      `${agent.toString()} (server two)`,
    ]);
    await expect(one.ca.activate(authorityId)).rejects.toMatchObject({ code: 'ERR_CA_GATE' });
    confirm(two, agent);
    await world.advance(1_000);
    await one.ca.activate(authorityId);
    two.verify(await one.issue('web'));
  });

  it('wait for the agents of a server that died until its lease ends, and 30 s', async () => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one');
    const two = await world.start('two');
    two.evidence.onConnected(agent);
    confirm(two, agent);
    await world.advance(31_000);
    await two.kill();
    await one.ca.prepare();
    const isOpen = () => one.ca.status().gate?.isOpen;
    await world.advance(10_000);
    expect(isOpen()).toBe(false);
    await world.advance(30_000);
    expect(isOpen()).toBe(false);
    await world.advance(16_500 + 30_000 - 40_000);
    expect(isOpen()).toBe(true);
  });

  it.each(['cut', 'hold'] as const)(
    'do not become active on a server that heard nothing of the others for a while (%s)',
    async (how) => {
      const world = new ControlPlaneWorld();
      const one = await world.start('one');
      const two = await world.start('two');
      two.evidence.onConnected(agent);
      confirm(two, agent);
      await world.advance(31_000);
      const { authorityId } = await one.ca.prepare();
      one.line[how]();
      await world.advance(60_000);
      one.line.mend();
      one.line.release();
      for (let i = 0; i < 60; i++) {
        await expect(one.ca.activate(authorityId)).rejects.toMatchObject({
          code: expect.stringMatching(/GATE|STORE/u),
        });
        await world.advance(250, 250);
      }
      confirm(two, agent);
      await world.until(() => one.ca.status().gate?.isOpen === true);
      await one.ca.activate(authorityId);
      two.verify(await one.issue('web'));
    },
  );

  it('rotate on both at once, and every SVID is good at every server at any time', async () => {
    const world = new ControlPlaneWorld();
    const caTtlMs = 600_000;
    const one = await world.start('one', { caTtlMs });
    const two = await world.start('two', { caTtlMs });
    const three = await world.start('three', { caTtlMs });
    const servers = [one, two, three];
    const signers = new Set<string>();
    for (let minute = 0; minute < 30; minute++) {
      await world.advance(60_000, 5_000);
      for (const server of servers) {
        const svid = await server.issue('web');
        signers.add(Buffer.from(svid.leaf.authorityKeyId ?? []).toString('hex'));
        for (const peer of servers) peer.verify(svid);
      }
    }
    expect(signers.size).toBeGreaterThan(9);
    expect(one.trust.current().own.x509Authorities.length).toBeLessThan(12);
  }, 60_000);
});

it('what a server that is gone for good left is taken out once it has expired', async () => {
  const world = new ControlPlaneWorld();
  const caTtlMs = 3_600_000;
  const one = await world.start('one', { caTtlMs });
  const two = await world.start('two', { caTtlMs });
  await one.kill();
  await world.advance(24 * 3_600_000, 300_000);
  const issuers = () => two.trust.current().own.x509Authorities.length;
  const before = issuers();
  await world.advance(4 * 3_600_000, 300_000);
  expect(before - issuers()).toBe(1);
  expect((await world.store.bucket('leases').list('server.')).records).toHaveLength(1);
}, 60_000);

describe('taint and revocation of authorities', () => {
  async function retired(world: ControlPlaneWorld) {
    const one = await world.start('one');
    const two = await world.start('two');
    const { active: old = '' } = authoritiesOf(one);
    const { authorityId } = await one.ca.prepare();
    await world.advance(40_000);
    await one.ca.activate(authorityId);
    return { one, two, old };
  }

  it('through one server are known to all (F17)', async () => {
    const world = new ControlPlaneWorld();
    const { one, two, old } = await retired(world);
    const shared = joinAuthorities(two.ca, two.ca.peers);
    await shared.taint(old);
    await settle();
    expect([taintedIn(one), taintedIn(two)]).toEqual([1, 1]);
    await shared.revoke(old);
    await world.advance(60_000);
    expect([taintedIn(one), taintedIn(two)]).toEqual([0, 0]);
    expect(Object.keys(authoritiesOf(one))).toEqual(['active']);
    await expect(shared.taint(old)).rejects.toMatchObject({ code: 'ERR_CA_AUTHORITY_ID' });
  });

  it('leave alone what a server that runs signs with', async () => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one');
    const two = await world.start('two');
    const { active = '' } = authoritiesOf(one);
    await expect(two.ca.peers.taint(active)).rejects.toMatchObject({
      code: 'ERR_CA_AUTHORITY_STATE',
    });
  });

  it('of a server that is gone hold when it comes back', async () => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one');
    const two = await world.start('two');
    const { active: stolen = '' } = authoritiesOf(one);
    const forged = await one.issue('web');
    await one.kill();
    await world.advance(20_000);
    await two.ca.peers.taint(stolen);
    await two.ca.peers.revoke(stolen);
    expect(() => two.verify(forged)).toThrow('issued');
    const back = await world.start('one');
    await world.advance(60_000);
    expect(authoritiesOf(back)['active']).not.toBe(stolen);
    for (const server of [back, two]) {
      expect(() => server.verify(forged)).toThrow('issued');
      server.verify(await back.issue('web'));
    }
  });

  it('hold against a server that slept through them', async () => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one');
    const two = await world.start('two');
    const { active: stolen = '' } = authoritiesOf(one);
    const former = await one.issue('web');
    one.line.hold();
    // The others see no life of it.
    const puts = world.store.bucket('leases');
    await puts.delete('server.one');
    await settle();
    await two.ca.peers.taint(stolen);
    await two.ca.peers.revoke(stolen);
    one.line.release();
    await world.until(() => authoritiesOf(one)['active'] !== stolen);
    expect(() => one.verify(former)).toThrow('issued');
    two.verify(await one.issue('web'));
  });
});

describe('what servers share', () => {
  it('a token is spent once, however many try on however many servers', async () => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one');
    const two = await world.start('two');
    const three = await world.start('three');
    const { token } = await one.tokens.create({ ttlSeconds: 600 });
    const tries = Array.from({ length: 34 }, () => [one, two, three])
      .flat()
      .slice(0, 100);
    const outcomes = await Promise.allSettled(tries.map(({ tokens }) => tokens.spend(token)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('an entry, a ban and a revocation made at one count at the others', async () => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one');
    const two = await world.start('two');
    const { entry } = await one.entries.create(testDraft('web'));
    await settle();
    expect(two.entries.get(entry.id)).toEqual(entry);
    await two.entries.delete(entry.id);
    await settle();
    expect(one.entries.get(entry.id)).toBeUndefined();
    expect(one.revocations.list()).toHaveLength(1);
    const svid = { serialNumber: 'ab', expiresAt: world.clock.now() + 3_600_000 };
    const attestation = {
      id: agent,
      attestationType: 'test',
      selectors: [],
      canReattest: false,
      publicKey: Uint8Array.of(1),
    };
    await one.agents.attest(attestation, () => svid);
    await two.agents.authorize(agent, svid);
    two.line.hold();
    await one.agents.ban(agent);
    await expect(two.agents.authorize(agent, svid)).rejects.toMatchObject({
      code: 'ERR_AGENT_BANNED',
    });
  });

  it('an entry of another server that is not heard of yet is not taken for gone', async () => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one');
    const two = await world.start('two');
    two.line.hold();
    const { entry } = await one.entries.create(testDraft('web'));
    const early = world.during(two.entries.delete(entry.id));
    await expect(early).rejects.toMatchObject({ code: 'ERR_STORE_BEHIND' });
    const late = world.during(two.entries.delete(entry.id));
    two.line.release();
    expect(await late).toEqual(entry);
    expect(two.revocations.list()).toHaveLength(1);
    const gone = two.entries.delete(entry.id);
    await expect(gone).rejects.toMatchObject({ code: 'ERR_ENTRY_NOT_FOUND' });
  });

  it("an entry that another server deleted is in nobody's way", async () => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one');
    const two = await world.start('two');
    const { entry } = await one.entries.create(testDraft('web'));
    expect(await two.entries.create(testDraft('web'))).toEqual({ entry, isNew: false });
    two.line.hold();
    await one.entries.delete(entry.id);
    const again = world.during(two.entries.create(testDraft('web')));
    two.line.release();
    expect(await again).toMatchObject({ isNew: true });
  });

  it('nothing is issued by what is not known to be so still', async () => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one');
    const two = await world.start('two');
    const { entry } = await one.entries.create(testDraft('web'));
    const svids = { issue: async () => [two.entries.get(entry.id), two.revocations.list().length] };
    const facts = createFreshFacts(two.line.store, { ...two, entries: two.registry });
    const issue = () => world.during(issuingFresh(svids, facts).issue(agent, []));
    expect(await issue()).toEqual([entry, 0]);
    two.line.hold();
    await one.entries.delete(entry.id);
    expect(two.registry.get(entry.id)).toEqual(entry);
    await expect(issue()).rejects.toMatchObject({ code: 'ERR_STORE_BEHIND' });
    two.line.release();
    expect(await issue()).toEqual([undefined, 1]);
  });

  it.each([
    [0, 0],
    [30_000, 0],
    [-30_000, 0],
    [30_000, -30_000],
    [-30_000, 30_000],
  ])('SVIDs are revoked by clocks %i and %i ms off', async (aheadOne, aheadTwo) => {
    const world = new ControlPlaneWorld();
    const one = await world.start('one', { aheadMs: aheadOne });
    const two = await world.start('two', { aheadMs: aheadTwo });
    // Finer than what a renewal tells of a clock.
    await world.advance(10_000, 100);
    const { entry } = await one.entries.create(testDraft('web'));
    await settle();
    const spiffeId = SpiffeId.parse(entry.spiffeId.toString());
    const before = [await one.issue('web'), await two.issue('web')];
    one.line.hold();
    await two.entries.delete(entry.id);
    // One does not know yet.
    await world.advance(700, 100);
    const late = await one.issue('web');
    one.line.release();
    await settle();
    for (const server of [one, two]) {
      for (const { leaf } of [...before, late]) {
        const subject = { spiffeId, issuedAt: issueInstant(leaf) };
        expect(server.revocations.find(subject)).toBeDefined();
      }
    }
    // And is good again when it is issued anew, a while later.
    await world.advance(62_000);
    for (const server of [one, two]) {
      const { leaf } = await server.issue('web');
      const subject = { spiffeId, issuedAt: issueInstant(leaf) };
      expect(server.revocations.find(subject)).toBeUndefined();
    }
  });

  it.each([30_000, -30_000])(
    'SVIDs of a server whose clock is %i ms off are good',
    async (aheadMs) => {
      const world = new ControlPlaneWorld();
      const one = await world.start('one');
      const two = await world.start('two', { aheadMs });
      one.verify(await two.issue('web'));
      two.verify(await one.issue('web'));
      await two.ca.prepare();
      await world.advance(40_000);
      await two.ca.activate(authoritiesOf(two)['prepared'] ?? '');
      const svid = await two.issue('web');
      one.verify(svid);
      expect(svid.leaf.notBefore).toBeLessThanOrEqual(one.clock.now());
    },
  );
});

describe('an agent that goes from server to server', () => {
  /** Follows one server until nothing comes any more; what it was told before is where it begins. */
  async function follow(server: TestServer, replica: SyncReplica): Promise<void> {
    const session = replica.connect();
    const resume = session.hello.kind === 'hello' ? session.hello.resume : undefined;
    await server.hub.catchUp(resume);
    const link = server.hub.connect(
      agent,
      { resume, takesTerms: true },
      { wake: () => {}, end: () => {} },
    );
    for (let update = link.take(); update !== undefined; update = link.take()) {
      const { position, isSnapshot, items, removed } = update;
      const receipt = session.receive({
        position,
        isSnapshot,
        isLast: true,
        items: items.map(({ key, bytes }) => ({
          kind: kindOf(key),
          bytes,
        })),
        removed,
      });
      if (receipt.kind !== 'applied') throw new Error(receipt.kind);
      link.acknowledge(position.revision, position.digest);
    }
    link.close();
  }

  /** Three servers, to which the agent has attested. */
  async function joined(world: ControlPlaneWorld) {
    const one = await world.start('one');
    const two = await world.start('two');
    const three = await world.start('three');
    const svid = { serialNumber: 'ab', expiresAt: world.clock.now() + 3_600_000 };
    const attestation = {
      id: agent,
      attestationType: 'test',
      selectors: [],
      canReattest: false,
      publicKey: Uint8Array.of(1),
    };
    await one.agents.attest(attestation, () => svid);
    await settle();
    const { trustDomain } = one.trust.current().own;
    const replica = new SyncReplica({ trustDomain, agentVersion: '1' });
    return { one, two, three, replica };
  }

  it('is told nothing that is older than what it knows', async () => {
    const world = new ControlPlaneWorld();
    const { one, two, replica } = await joined(world);
    await follow(one, replica);
    two.line.hold();
    const draft = testDraft('web', ['unix:uid:1'], { parentId: agent.toString() });
    const { entry } = await one.entries.create(draft);
    await settle();
    await follow(one, replica);
    expect([...(replica.state()?.entries.keys() ?? [])]).toEqual([entry.id]);
    const before = replica.position();
    const followed = follow(two, replica);
    await world.advance(1_000);
    expect(replica.position()).toBe(before);
    expect(two.entries.get(entry.id)).toBeUndefined();
    two.line.release();
    await world.during(followed);
    expect(replica.position()).not.toBe(before);
    expect([...(replica.state()?.entries.keys() ?? [])]).toEqual([entry.id]);
  });

  it('is sent to another server by one that lags for long', async () => {
    const world = new ControlPlaneWorld();
    const { one, two, replica } = await joined(world);
    two.line.hold();
    await one.entries.create(testDraft('web', ['unix:uid:1'], { parentId: agent.toString() }));
    await settle();
    await follow(one, replica);
    await expect(world.during(follow(two, replica))).rejects.toMatchObject({
      code: 'ERR_STORE_BEHIND',
      category: 'unavailable',
    });
    expect(replica.state()?.entries.size).toBe(1);
  });

  it('goes on where it stood when nothing changed: no snapshot', async () => {
    const world = new ControlPlaneWorld();
    const { one, two, replica } = await joined(world);
    await follow(one, replica);
    const resume = replica.position();
    const stream = { wake: () => {}, end: () => {} };
    const link = two.hub.connect(agent, { resume, takesTerms: true }, stream);
    expect(link.take()).toMatchObject({ isSnapshot: false, items: [], removed: [] });
    link.close();
  });

  it('sees changes rise only, whichever server it asks and however far each lags', async () => {
    const world = new ControlPlaneWorld();
    const { one, two, three, replica } = await joined(world);
    const servers = [one, two, three];
    const draft = testDraft('web', ['unix:uid:1'], { parentId: agent.toString() });
    const { entry } = await one.entries.create(draft);
    await settle();
    let state = 12_345;
    const random = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return state % below;
    };
    const seen: number[] = [];
    for (let step = 0; step < 150; step++) {
      const server = servers[random(3)] ?? one;
      const action = random(5);
      if (action === 0) server.line.hold();
      else if (action === 1) server.line.release();
      else if (action === 2) {
        // Its own writes it has to see; the others may lag on.
        server.line.release();
        await settle();
        await server.entries.update(entry.id, { hint: `${step}` });
      } else {
        await world.during(follow(server, replica)).catch(() => {});
        seen.push(replica.state()?.entries.get(entry.id)?.revisionNumber ?? -1);
      }
    }
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBeGreaterThan(5);
  }, 60_000);
});
