import { describe, expect, it } from 'vitest';
import { codeOf } from '../../test/fakes/code-of.ts';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import {
  agentId,
  attestationOf,
  GRACE_MS,
  HOUR_MS,
  openAgents,
} from '../../test/fakes/open-agents.ts';
import { overBucket } from '../../test/fakes/over-bucket.ts';
import { type ErrorCode, parseSelector, SpiffeId } from '../spiffe/index.ts';
import { createMemoryStore } from '../store/index.ts';
import { agentKey } from './agent-record.ts';
import type { AgentChange } from './agent-view.ts';

const a = agentId('a');
const code = (is: ErrorCode) => expect.objectContaining({ code: is });

/** A registry with the agent `a`, attested an instant ago. */
async function withAgent(differences: Parameters<typeof attestationOf>[1] = {}) {
  const world = await openAgents();
  const svid = await world.agents.attest(attestationOf('a', differences), world.issue);
  return { ...world, svid };
}

describe('a node whose evidence has two forms', () => {
  const one = attestationOf('one', { twin: agentId('two') });
  const two = attestationOf('two', { twin: agentId('one') });

  it('is one agent: it joins again in its own form, and not in the other until it is evicted', async () => {
    const { agents, issue } = await openAgents();
    await agents.attest(one, issue);
    await agents.attest(one, issue);
    await expect(agents.attest(two, issue)).rejects.toEqual(code('ERR_AGENT_ATTESTED_BEFORE'));
    await agents.delete(one.id);
    await expect(agents.attest(two, issue)).resolves.toBeDefined();
  });

  it('is banned in both forms', async () => {
    const { agents, issue } = await openAgents();
    await agents.attest(attestationOf('two'), issue);
    await agents.attest(attestationOf('one'), issue);
    await agents.ban(one.id);
    await expect(agents.attest(two, issue)).rejects.toEqual(code('ERR_AGENT_BANNED'));
    await expect(agents.attest(one, issue)).rejects.toEqual(code('ERR_AGENT_BANNED'));
  });

  it('is at most one agent when it joins in both at once, at two servers', async () => {
    for (let round = 0; round < 20; round++) {
      const { store, clock, agents, issue } = await openAgents();
      const other = await openAgents({ store, clock });
      const results = await Promise.allSettled([
        agents.attest(one, issue),
        other.agents.attest(two, other.issue),
      ]);
      expect(results.filter(({ status }) => status === 'fulfilled').length).toBeLessThan(2);
      const keys = await Promise.all(
        [one, two].map(async ({ id }) => await store.bucket('agents').get(agentKey(id))),
      );
      expect(keys.filter(Boolean).length).toBeLessThan(2);
    }
  });
});

describe('attest', () => {
  it('records the agent and gives out the SVID only then', async () => {
    const { agents, svid, clock } = await withAgent();
    expect(agents.get(a)).toMatchObject({
      id: a,
      attestationType: 'x509pop',
      selectors: [{ type: 'x509pop', value: 'subject:cn:a' }],
      svid: { serialNumber: svid.serialNumber, expiresAt: clock.now() + HOUR_MS },
      renewedSvid: undefined,
      banned: false,
      canReattest: true,
      agentVersion: '',
    });
    await expect(agents.authorize(a, svid)).resolves.toMatchObject({ id: a });
  });

  it('gives nothing out when it cannot be recorded', async () => {
    const { store, clock } = await openAgents();
    const failing = overBucket(store.bucket('agents'), {
      put: () => Promise.reject(new Error('disk full')),
    });
    const { agents, issue } = await openAgents({ store, clock, bucket: failing });
    await expect(agents.attest(attestationOf('a'), issue)).rejects.toThrow('disk full');
    expect(agents.get(a)).toBeUndefined();
  });

  it('ends every earlier SVID, keeps version and first attestation, takes new selectors', async () => {
    const { agents, svid, issue, clock } = await withAgent();
    const first = clock.now();
    await agents.setVersion(a, '1.2.3');
    clock.advance(1000);
    const selectors = ['b:2', 'a:1', 'b:2'].map(parseSelector);
    const next = await agents.attest(attestationOf('a', { selectors }), issue);
    await expect(agents.authorize(a, svid)).rejects.toEqual(code('ERR_AGENT_NOT_ACTIVE'));
    await expect(agents.authorize(a, next)).resolves.toMatchObject({
      agentVersion: '1.2.3',
      attestedAt: first,
      selectors: ['a:1', 'b:2'].map(parseSelector),
    });
  });

  it.each([
    ['spiffe://a.test/web', 'ERR_AGENT_ID'],
    ['spiffe://a.test/spire/server', 'ERR_AGENT_ID'],
    ['spiffe://a.test/spire/agent', 'ERR_AGENT_ID'],
    ['spiffe://b.test/spire/agent/x509pop/a', 'ERR_AGENT_ID'],
  ] as const)('refuses the ID %s before anything is issued', async (id, refusal) => {
    const { agents } = await openAgents();
    let issued = 0;
    const attestation = attestationOf('a', { id: SpiffeId.parse(id) });
    const attest = agents.attest(attestation, () => ({
      serialNumber: `${++issued}`,
      expiresAt: 1,
    }));
    await expect(attest).rejects.toEqual(code(refusal));
    expect(issued).toBe(0);
  });

  it('refuses a malformed type, a malformed selector, too much', async () => {
    const { agents, issue } = await openAgents();
    const attest = (differences: Parameters<typeof attestationOf>[1]) =>
      agents.attest(attestationOf('a', differences), issue);
    const selector = { type: 'x509pop', value: 'a\nb' };
    const many = Array.from({ length: 20 }, (_, i) => parseSelector(`x:${i}${'y'.repeat(4000)}`));
    await expect(attest({ attestationType: 'x/y' })).rejects.toEqual(code('ERR_AGENT_ATTESTATION'));
    await expect(attest({ selectors: [selector] })).rejects.toEqual(code('ERR_AGENT_ATTESTATION'));
    await expect(attest({ selectors: many })).rejects.toEqual(code('ERR_AGENT_TOO_LARGE'));
  });

  it('bears 50 nodes at once, and 20 attestations of one (F7)', async () => {
    const { agents, issue } = await openAgents();
    const nodes = Array.from({ length: 50 }, (_, i) => attestationOf(`n${i}`));
    const one = Array.from({ length: 20 }, () => attestationOf('one'));
    const svids = await Promise.all([...nodes, ...one].map((node) => agents.attest(node, issue)));
    expect(agents.count()).toBe(51);
    const current = agents.get(agentId('one'))?.svid.serialNumber;
    expect(svids.slice(50).map(({ serialNumber }) => serialNumber)).toContain(current);
  });
});

describe('attest, on first use only', () => {
  const once = (name: string) => attestationOf(name, { isFirstUseOnly: true, canReattest: false });

  it('refuses an agent that is attested already, until it is evicted', async () => {
    const { agents, svid, issue } = await withAgent({ isFirstUseOnly: true, canReattest: false });
    let issued = 0;
    const count = () => {
      issued += 1;
      return issue();
    };
    const again = agents.attest(once('a'), count);
    await expect(again).rejects.toEqual(code('ERR_AGENT_ATTESTED_BEFORE'));
    expect(issued).toBe(0);
    await expect(agents.authorize(a, svid)).resolves.toBeDefined();
    await agents.delete(a);
    await expect(agents.attest(once('a'), count)).resolves.toBeDefined();
  });

  it('refuses it after its SVID has expired, and when it was banned', async () => {
    const { agents, clock, issue } = await withAgent({ isFirstUseOnly: true });
    clock.advance(30 * 24 * HOUR_MS);
    const attest = () => agents.attest(once('a'), issue);
    await expect(attest()).rejects.toEqual(code('ERR_AGENT_ATTESTED_BEFORE'));
    await agents.ban(a);
    await expect(attest()).rejects.toEqual(code('ERR_AGENT_BANNED'));
    await agents.delete(a);
    await expect(attest()).resolves.toBeDefined();
  });

  it('admits one of 20 at two servers', async () => {
    const world = await openAgents();
    const other = await openAgents({ store: world.store, clock: world.clock });
    const attempts = Array.from({ length: 20 }, (_, at) =>
      (at % 2 === 0 ? world : other).agents.attest(once('a'), world.issue),
    );
    const codes = await Promise.all(attempts.map((attempt) => codeOf(() => attempt)));
    expect(codes.filter((is) => is === undefined)).toHaveLength(1);
    expect(codes.filter((is) => is === 'ERR_AGENT_ATTESTED_BEFORE')).toHaveLength(19);
  });
});

describe('renew', () => {
  it('leaves both SVIDs good until the renewed one is used, which ends the other', async () => {
    const { agents, svid, issue } = await withAgent({ canReattest: false });
    const renewed = await agents.renew(a, Buffer.from('next key'), issue);
    await expect(agents.authorize(a, svid)).resolves.toBeDefined();
    await expect(agents.authorize(a, renewed)).resolves.toMatchObject({ renewedSvid: undefined });
    await expect(agents.authorize(a, svid)).rejects.toEqual(code('ERR_AGENT_NOT_ACTIVE'));
    expect(agents.get(a)?.svid.serialNumber).toBe(renewed.serialNumber);
  });

  it('forgets a renewed SVID that was never used when another is issued', async () => {
    const { agents, svid, issue } = await withAgent({ canReattest: false });
    const lost = await agents.renew(a, Buffer.from('key'), issue);
    await agents.renew(a, Buffer.from('key'), issue);
    await expect(agents.authorize(a, lost)).rejects.toEqual(code('ERR_AGENT_NOT_ACTIVE'));
    await expect(agents.authorize(a, svid)).resolves.toBeDefined();
  });

  it('is refused to unknown and banned agents, and to those that attest again', async () => {
    const { agents, issue } = await withAgent();
    const renew = () => agents.renew(a, Buffer.from('key'), issue);
    await expect(renew()).rejects.toEqual(code('ERR_AGENT_MUST_REATTEST'));
    await agents.ban(a);
    await expect(renew()).rejects.toEqual(code('ERR_AGENT_BANNED'));
    await agents.delete(a);
    await expect(renew()).rejects.toEqual(code('ERR_AGENT_NOT_ATTESTED'));
  });

  it('does not outrun an eviction that comes while the SVID is issued', async () => {
    const { agents, issue } = await withAgent({ canReattest: false });
    const renewal = agents.renew(a, Buffer.from('key'), async () => {
      await agents.delete(a);
      return issue();
    });
    await expect(renewal).rejects.toEqual(code('ERR_AGENT_NOT_ATTESTED'));
    expect(agents.get(a)).toBeUndefined();
  });
});

describe('a renewal that was overtaken', () => {
  const key = Buffer.from('key');

  it('leaves the younger SVID good, also when that is in use already', async () => {
    for (const isUsed of [false, true]) {
      const { agents, issue } = await withAgent({ canReattest: false });
      const younger: ReturnType<typeof issue>[] = [];
      const late = agents.renew(a, key, async () => {
        const older = issue();
        younger.push(await agents.renew(a, key, issue));
        for (const svid of isUsed ? younger : []) await agents.authorize(a, svid);
        return older;
      });
      await expect(late).rejects.toEqual(code('ERR_AGENT_CONFLICT'));
      for (const svid of younger) await expect(agents.authorize(a, svid)).resolves.toBeDefined();
      await expect(agents.renew(a, key, issue)).resolves.toBeDefined();
    }
  });

  it('is no SVID of an agent that attested meanwhile', async () => {
    const { agents, issue } = await withAgent({ canReattest: false });
    const late = agents.renew(a, key, async () => {
      await agents.attest(attestationOf('a', { canReattest: false }), issue);
      return issue();
    });
    await expect(late).rejects.toEqual(code('ERR_AGENT_CONFLICT'));
    expect(agents.get(a)?.renewedSvid).toBeUndefined();
  });

  it('is recorded when only the one before came into use', async () => {
    const { agents, issue } = await withAgent({ canReattest: false });
    const first = await agents.renew(a, key, issue);
    const second = await agents.renew(a, key, async () => {
      await agents.authorize(a, first);
      return issue();
    });
    await expect(agents.authorize(a, second)).resolves.toBeDefined();
  });
});

describe('readmit', () => {
  const publicKey = Buffer.from('key of a');
  const next = Buffer.from('next key of a');
  const single = { canReattest: false };

  it('lets an agent back with its last key, again until the new SVID is used', async () => {
    const { agents, svid, issue, clock } = await withAgent(single);
    clock.advance(GRACE_MS);
    const last = { serialNumber: svid.serialNumber, publicKey };
    await agents.readmit(a, last, next, issue);
    const renewed = await agents.readmit(a, last, next, issue);
    expect(agents.get(a)).toMatchObject({ selectors: [{ value: 'subject:cn:a' }], ...single });
    await agents.authorize(a, renewed);
    await expect(agents.readmit(a, last, next, issue)).rejects.toEqual(
      code('ERR_AGENT_NOT_ACTIVE'),
    );
    await expect(agents.authorize(a, svid)).rejects.toEqual(code('ERR_AGENT_EXPIRED'));
  });

  it('is refused after the grace', async () => {
    const { agents, svid, issue, clock } = await withAgent(single);
    clock.advance(HOUR_MS + GRACE_MS + 1);
    const last = { serialNumber: svid.serialNumber, publicKey };
    await expect(agents.readmit(a, last, next, issue)).rejects.toEqual(code('ERR_AGENT_EXPIRED'));
  });

  it('is refused with another serial number or key', async () => {
    const { agents, svid, issue } = await withAgent(single);
    const refused = code('ERR_AGENT_NOT_ACTIVE');
    const { serialNumber } = svid;
    const other = { serialNumber, publicKey: next };
    await expect(agents.readmit(a, other, next, issue)).rejects.toEqual(refused);
    const older = { serialNumber: 'ff', publicKey };
    await expect(agents.readmit(a, older, next, issue)).rejects.toEqual(refused);
  });

  it('is refused to unknown, deleted and banned agents, and to those that attest again', async () => {
    const { agents, svid, issue } = await withAgent(single);
    const last = { serialNumber: svid.serialNumber, publicKey };
    const readmit = (id = a) => agents.readmit(id, last, next, issue);
    await expect(readmit(agentId('b'))).rejects.toEqual(code('ERR_AGENT_NOT_ATTESTED'));
    await agents.ban(a);
    await expect(readmit()).rejects.toEqual(code('ERR_AGENT_BANNED'));
    await agents.delete(a);
    await expect(readmit()).rejects.toEqual(code('ERR_AGENT_NOT_ATTESTED'));
    const other = await withAgent();
    await expect(
      other.agents.readmit(
        a,
        { serialNumber: other.svid.serialNumber, publicKey },
        next,
        other.issue,
      ),
    ).rejects.toEqual(code('ERR_AGENT_MUST_REATTEST'));
  });

  it('does not outrun an eviction or a ban that comes while the SVID is issued', async () => {
    for (const [act, refused] of [
      ['delete', 'ERR_AGENT_NOT_ATTESTED'],
      ['ban', 'ERR_AGENT_BANNED'],
    ] as const) {
      const { agents, svid, issue } = await withAgent(single);
      const last = { serialNumber: svid.serialNumber, publicKey };
      const late = async () => {
        await agents[act](a);
        return issue();
      };
      await expect(agents.readmit(a, last, next, late)).rejects.toEqual(code(refused));
    }
  });
});

describe('authorize', () => {
  it('refuses an unknown agent, another serial number, an expired SVID', async () => {
    const { agents, svid, clock } = await withAgent();
    const other = { ...svid, serialNumber: 'ff' };
    await expect(agents.authorize(agentId('b'), svid)).rejects.toEqual(
      code('ERR_AGENT_NOT_ATTESTED'),
    );
    await expect(agents.authorize(a, other)).rejects.toEqual(code('ERR_AGENT_NOT_ACTIVE'));
    clock.advance(HOUR_MS + 1);
    await expect(agents.authorize(a, svid)).rejects.toEqual(code('ERR_AGENT_EXPIRED'));
  });

  it('asks the store and not the view: a ban by another server counts at once', async () => {
    const { agents, svid, store, clock } = await withAgent();
    const deaf = overBucket(store.bucket('agents'), {
      watch: (_prefix, from, signal) => store.bucket('agents').watch('none', from, signal),
    });
    const { agents: other } = await openAgents({ store, clock, bucket: deaf });
    await agents.ban(a);
    expect(other.get(a)?.banned).toBe(false);
    await expect(other.authorize(a, svid)).rejects.toEqual(code('ERR_AGENT_BANNED'));
  });
});

describe('authorize of a registry that nobody writes beside', () => {
  async function withSoleAgent() {
    const store = createMemoryStore({ clock: new FakeClock() });
    let reads = 0;
    const bucket = overBucket(store.bucket('agents'), {
      get: async (key) => {
        reads++;
        return await store.bucket('agents').get(key);
      },
    });
    const world = await openAgents({ store, bucket, isSoleWriter: true });
    const svid = await world.agents.attest(attestationOf('a'), world.issue);
    return {
      ...world,
      svid,
      readsOf: async (run: () => Promise<unknown>) => {
        const before = reads;
        await run();
        return reads - before;
      },
    };
  }

  it('reads the view, which has a ban and an eviction when they are acknowledged', async () => {
    const { agents, svid, readsOf } = await withSoleAgent();
    expect(await readsOf(() => agents.authorize(a, svid))).toBe(0);
    await agents.ban(a);
    await expect(agents.authorize(a, svid)).rejects.toEqual(code('ERR_AGENT_BANNED'));
    await agents.delete(a);
    await expect(agents.authorize(a, svid)).rejects.toEqual(code('ERR_AGENT_NOT_ATTESTED'));
  });

  it('judges as any other: serial numbers, expiry, the renewed SVID that ends the one before', async () => {
    const { agents, svid, issue, clock } = await withSoleAgent();
    const other = { ...svid, serialNumber: 'ff' };
    await expect(agents.authorize(a, other)).rejects.toEqual(code('ERR_AGENT_NOT_ACTIVE'));
    const again = await agents.attest(attestationOf('a', { canReattest: false }), issue);
    const renewed = await agents.renew(a, Buffer.from('key'), issue);
    await agents.authorize(a, again);
    await agents.authorize(a, renewed);
    await expect(agents.authorize(a, again)).rejects.toEqual(code('ERR_AGENT_NOT_ACTIVE'));
    clock.advance(HOUR_MS + 1);
    await expect(agents.authorize(a, renewed)).rejects.toEqual(code('ERR_AGENT_EXPIRED'));
  });
});

describe('a ban', () => {
  it('is not an expiry: it outlives the SVID, and no attestation ends it (F2)', async () => {
    const { agents, svid, issue, clock } = await withAgent();
    await agents.ban(a);
    await agents.ban(a);
    await expect(agents.authorize(a, svid)).rejects.toEqual(code('ERR_AGENT_BANNED'));
    clock.jump(clock.now() + 400 * 24 * HOUR_MS);
    await expect(agents.authorize(a, svid)).rejects.toEqual(code('ERR_AGENT_BANNED'));
    let issued = 0;
    const attest = () =>
      agents.attest(attestationOf('a'), () => {
        issued++;
        return issue();
      });
    await expect(attest()).rejects.toEqual(code('ERR_AGENT_BANNED'));
    await expect(agents.setVersion(a, '2')).rejects.toEqual(code('ERR_AGENT_BANNED'));
    expect(issued).toBe(0);
    expect(await agents.purge({ expiredBefore: clock.now(), includeUnreattestable: true })).toEqual(
      [],
    );
    expect(agents.get(a)?.banned).toBe(true);
  });

  it('that comes while an SVID is issued holds that SVID back', async () => {
    const { agents, issue } = await withAgent();
    const attestation = agents.attest(attestationOf('a'), async () => {
      await agents.ban(a);
      return issue();
    });
    await expect(attestation).rejects.toEqual(code('ERR_AGENT_BANNED'));
  });

  it('survives a restart, and ends with an eviction', async () => {
    const { agents, store, clock, issue } = await withAgent();
    await agents.ban(a);
    const { agents: next } = await openAgents({ store, clock });
    await expect(next.attest(attestationOf('a'), issue)).rejects.toEqual(code('ERR_AGENT_BANNED'));
    await next.delete(a);
    await expect(next.attest(attestationOf('a'), issue)).resolves.toBeDefined();
  });

  it('needs an agent', async () => {
    const { agents } = await openAgents();
    await expect(agents.ban(a)).rejects.toEqual(code('ERR_AGENT_NOT_FOUND'));
    await expect(agents.delete(a)).rejects.toEqual(code('ERR_AGENT_NOT_FOUND'));
  });
});

describe('purge', () => {
  it('takes what expired before, can attest again and is not banned, unless told more', async () => {
    const { agents, issue, clock, names } = await openAgents();
    await agents.attest(attestationOf('old'), issue);
    await agents.attest(attestationOf('token', { canReattest: false }), issue);
    await agents.attest(attestationOf('banned'), issue);
    await agents.ban(agentId('banned'));
    clock.advance(2 * HOUR_MS);
    await agents.attest(attestationOf('young'), issue);
    const expiredBefore = clock.now() - HOUR_MS / 2;
    expect(await agents.purge({ expiredBefore: expiredBefore - HOUR_MS })).toEqual([]);
    expect(await agents.purge({ expiredBefore })).toEqual([agentId('old')]);
    expect(await agents.purge({ expiredBefore, includeUnreattestable: true })).toEqual([
      agentId('token'),
    ]);
    expect(await agents.purge({ expiredBefore, includeBanned: true })).toEqual([agentId('banned')]);
    expect(names()).toEqual(['young']);
  });

  it('counts the renewed SVID', async () => {
    const { agents, issue, clock } = await withAgent({ canReattest: false });
    clock.advance(HOUR_MS / 2);
    await agents.renew(a, Buffer.from('key'), issue);
    clock.advance(HOUR_MS);
    const expiredBefore = clock.now();
    expect(await agents.purge({ expiredBefore, includeUnreattestable: true })).toEqual([]);
  });

  it('leaves an agent that attests meanwhile', async () => {
    const { store, clock, agents, issue } = await withAgent();
    clock.advance(2 * HOUR_MS);
    const bucket = overBucket(store.bucket('agents'), {
      delete: async (key, expected) => {
        await agents.attest(attestationOf('a'), issue);
        return store.bucket('agents').delete(key, expected);
      },
    });
    const { agents: purging } = await openAgents({ store, clock, bucket });
    expect(await purging.purge({ expiredBefore: clock.now() })).toEqual([]);
    expect(agents.get(a)).toBeDefined();
  });
});

describe('list and count', () => {
  async function three() {
    const world = await openAgents();
    const { agents, issue, clock } = world;
    const selectors = (...texts: string[]) => ({ selectors: texts.map(parseSelector) });
    await agents.attest(attestationOf('c', selectors('x:1', 'x:2')), issue);
    await agents.attest(attestationOf('a', selectors('x:1')), issue);
    clock.advance(60_000);
    await agents.attest(
      {
        ...attestationOf('b', selectors('x:3')),
        attestationType: 'join_token',
        canReattest: false,
      },
      issue,
    );
    await agents.ban(agentId('c'));
    const found = (filter: Parameters<typeof agents.list>[0]) => {
      const { items } = agents.list(filter, { pageSize: 0, pageToken: '' });
      expect(agents.count(filter)).toBe(items.length);
      return items.map(({ id }) => id.path.split('/').at(-1)).join('');
    };
    return { ...world, found };
  }

  it('filters as SPIRE does', async () => {
    const { found, clock } = await three();
    expect(found({})).toBe('abc');
    expect(found({ attestationType: 'join_token' })).toBe('b');
    expect(found({ banned: true })).toBe('c');
    expect(found({ banned: false, canReattest: true })).toBe('a');
    expect(found({ expiresBefore: clock.now() + HOUR_MS })).toBe('ac');
    const by = (match: 'exact' | 'subset' | 'superset' | 'any', ...values: string[]) =>
      found({ selectors: { match, values } });
    expect(by('exact', 'x:1')).toBe('a');
    expect(by('subset', 'x:1', 'x:2')).toBe('ac');
    expect(by('superset', 'x:1')).toBe('ac');
    expect(by('any', 'x:2', 'x:3')).toBe('bc');
    expect(by('any', 'x:4')).toBe('');
  });

  it('lists page after page, and says when a page token is not its own', async () => {
    const { agents } = await three();
    const first = agents.list({}, { pageSize: 2, pageToken: '' });
    expect(first.items.map(({ id }) => id)).toEqual([agentId('a'), agentId('b')]);
    const second = agents.list({}, { pageSize: 2, pageToken: first.nextPageToken });
    expect(second.items.map(({ id }) => id)).toEqual([agentId('c')]);
    expect(second.nextPageToken).toBe('');
    const wrong = () => agents.list({}, { pageSize: 2, pageToken: 'x' });
    expect(wrong).toThrow(code('ERR_AGENT_PAGE'));
  });
});

describe('the view', () => {
  it('tells watchers of every change, also of other servers', async () => {
    const { agents, store, clock, issue } = await openAgents();
    const changes: AgentChange[] = [];
    const stop = agents.watch((change) => changes.push(change));
    const { agents: other } = await openAgents({ store, clock });
    await other.attest(attestationOf('a'), issue);
    await other.ban(a);
    await other.delete(a);
    await settle();
    expect(changes.map(({ id, agent }) => [id.path, agent?.banned])).toEqual([
      [a.path, false],
      [a.path, true],
      [a.path, undefined],
    ]);
    stop();
    await agents.attest(attestationOf('a'), issue);
    expect(changes).toHaveLength(3);
  });

  it('leaves out what cannot be read, which can do nothing until it is deleted', async () => {
    const { agents, svid, bucket, store, clock, issue } = await withAgent();
    await agents.attest(attestationOf('b'), issue);
    await bucket.put(agentKey(a), Buffer.from('{"v":1}'));
    await settle();
    const { agents: restarted } = await openAgents({ store, clock });
    for (const registry of [agents, restarted]) {
      expect(registry.get(a)).toBeUndefined();
      expect(registry.get(agentId('b'))).toBeDefined();
      await expect(registry.authorize(a, svid)).rejects.toEqual(code('ERR_AGENT_RECORD'));
      const attest = registry.attest(attestationOf('a'), issue);
      await expect(attest).rejects.toEqual(code('ERR_AGENT_RECORD'));
    }
    await agents.delete(a);
    await expect(agents.attest(attestationOf('a'), issue)).resolves.toBeDefined();
  });

  it('does not take the record of one agent for another', async () => {
    const { bucket, agents, svid } = await withAgent();
    const stored = await bucket.get(agentKey(a));
    await bucket.put(agentKey(agentId('b')), stored?.value ?? Buffer.of());
    await expect(agents.authorize(agentId('b'), svid)).rejects.toEqual(code('ERR_AGENT_RECORD'));
  });

  it('reads all again after a break of the feed', async () => {
    const { store, clock, agents, issue } = await openAgents();
    let isBroken = true;
    const bucket = overBucket(store.bucket('agents'), {
      watch: (prefix, from, signal) => {
        if (isBroken) throw new Error('broken');
        return store.bucket('agents').watch(prefix, from, signal);
      },
    });
    await agents.attest(attestationOf('gone'), issue);
    const { agents: other } = await openAgents({ store, clock, bucket });
    await agents.delete(agentId('gone'));
    await agents.attest(attestationOf('a'), issue);
    isBroken = false;
    await clock.advanceAsync(1000);
    expect(other.get(a)).toBeDefined();
    expect(other.get(agentId('gone'))).toBeUndefined();
  });

  it('ends with a typed error for who waits, and leaves no timer', async () => {
    const { agents, clock, issue } = await openAgents();
    await agents.close();
    await expect(agents.attest(attestationOf('a'), issue)).rejects.toEqual(
      code('ERR_AGENT_CLOSED'),
    );
    expect(clock.timers).toBe(0);
  });
});
