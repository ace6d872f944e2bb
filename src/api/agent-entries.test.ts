import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { csrFor, openFleet } from '../../test/fakes/open-fleet.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import { parseSelector, parseX509Svid, SpiffeId } from '../spiffe/index.ts';
import { syncLimits } from './authorized-entries-methods.ts';

/** A fleet with one agent and `count` entries below it: w0, w1, … */
async function openWith(count: number) {
  const fleet = await openFleet();
  const identity = await fleet.join();
  const below = { parentId: identity.id };
  for (let i = 0; i < count; i++) {
    await fleet.entries.create(testDraft(`w${i}`, undefined, { ...below, id: `w${i}` }));
  }
  return { ...fleet, identity, below, agent: fleet.dial(identity) };
}

describe('GetAuthorizedEntries', () => {
  it('shows what is below the agent, masked', async () => {
    const { agent, entries, below } = await openWith(1);
    await entries.create(testDraft('elsewhere'));
    await entries.create(
      testDraft('under', undefined, { id: 'under', parentId: 'spiffe://a.test/w0' }),
    );
    const output_mask = { spiffe_id: true };
    expect(await agent.call('Entry.GetAuthorizedEntries', { output_mask })).toMatchObject({
      entries: [
        { id: 'under', spiffe_id: { path: '/under' } },
        { id: 'w0', spiffe_id: { path: '/w0' } },
      ],
    });
    expect(await agent.call('Entry.GetAuthorizedEntries')).toMatchObject({
      entries: [
        { id: 'under' },
        { id: 'w0', parent_id: { path: new URL(below.parentId).pathname } },
      ],
    });
  });

  it('shows what is below an alias whose selectors the node shows', async () => {
    const { agent, entries, identity } = await openWith(0);
    const selectors = [`spiffe_id:${identity.id}`];
    const parentId = 'spiffe://a.test/spire/server';
    await entries.create(testDraft('group', selectors, { parentId }));
    const parent = { parentId: 'spiffe://a.test/group' };
    const { entry } = await entries.create(testDraft('web', undefined, parent));
    expect(await agent.call('Entry.GetAuthorizedEntries')).toMatchObject({
      entries: [{ id: entry.id }],
    });
  });
});

describe('SyncAuthorizedEntries', () => {
  it('gives few entries at once', async () => {
    const { agent } = await openWith(2);
    const sync = agent.stream('Entry.SyncAuthorizedEntries');
    sync.send({ output_mask: { revision_number: true } });
    expect(await sync.read()).toMatchObject({
      entry_revisions: [],
      entries: [
        { id: 'w0', revision_number: '0' },
        { id: 'w1', revision_number: '0' },
      ],
    });
    expect(await sync.read()).toBeUndefined();
  });

  it('gives revisions of many, and then what is asked for', async () => {
    const { agent, entries, clock } = await openWith(syncLimits.entries + 1);
    await entries.update('w7', { selectors: [parseSelector('unix:uid:7')] });
    const sync = agent.stream('Entry.SyncAuthorizedEntries');
    sync.send({ output_mask: { spiffe_id: true } });
    const created_at = String(clock.now() / 1000);
    const first = Object(await sync.read());
    expect(first.entries).toEqual([]);
    expect(first.more ?? false).toBe(false);
    expect(first.entry_revisions).toHaveLength(syncLimits.entries + 1);
    expect(first.entry_revisions).toContainEqual({ id: 'w7', revision_number: '1', created_at });
    sync.send({ ids: ['w7', 'unknown'] });
    expect(await sync.read()).toMatchObject({
      entries: [{ id: 'w7', spiffe_id: { path: '/w7' } }],
    });
    sync.send({ ids: first.entry_revisions.map(({ id }: { id: string }) => id) });
    const full = Object(await sync.read());
    expect(full.entries).toHaveLength(syncLimits.entries);
    expect(full.more).toBe(true);
    const rest = Object(await sync.read());
    expect(rest.entries).toHaveLength(1);
    expect(rest.more ?? false).toBe(false);
    sync.end();
    expect(await sync.read()).toBeUndefined();
  });

  it('gives no more in one message than a client takes', async () => {
    const { agent, entries, below } = await openWith(0);
    const long = `${'x'.repeat(60)}.`.repeat(3);
    const dnsNames = Array.from({ length: 64 }, (_, i) => `${i}.${long}test`);
    const more = { ...below, dnsNames };
    for (let i = 0; i < 200; i++) {
      await entries.create(testDraft(`w${i}`, undefined, { ...more, id: `w${i}` }));
    }
    const sync = agent.stream('Entry.SyncAuthorizedEntries');
    sync.send({});
    const first = Object(await sync.read());
    expect([first.entries.length, first.entry_revisions.length]).toEqual([0, 200]);
    sync.send({ ids: first.entry_revisions.map(({ id }: { id: string }) => id) });
    const pages = [Object(await sync.read()), Object(await sync.read())];
    expect(pages.map((page) => page.more ?? false)).toEqual([true, false]);
    expect(pages.flatMap(({ entries: page }) => page)).toHaveLength(200);
  });

  it('gives an entry once, however often it is asked for', async () => {
    const { agent } = await openWith(syncLimits.entries + 1);
    const sync = agent.stream('Entry.SyncAuthorizedEntries');
    sync.send({});
    await sync.read();
    sync.send({ ids: Array.from({ length: syncLimits.ids }, (_, i) => `w${i % 2}`) });
    expect(await sync.read()).toMatchObject({ entries: [{ id: 'w0' }, { id: 'w1' }] });
    sync.end();
    expect(await sync.read()).toBeUndefined();
  });

  it('refuses to go on for an agent that is banned meanwhile', async () => {
    const { agent, agents, identity } = await openWith(syncLimits.entries + 1);
    const sync = agent.stream('Entry.SyncAuthorizedEntries');
    sync.send({});
    await sync.read();
    await agents.ban(SpiffeId.parse(identity.id));
    sync.send({ ids: ['w1'] });
    await expect(sync.read()).rejects.toMatchObject({ code: status.PERMISSION_DENIED });
  });

  it('refuses IDs in the first request', async () => {
    const { agent } = await openWith(0);
    const sync = agent.stream('Entry.SyncAuthorizedEntries');
    sync.send({ ids: ['w1'] });
    await expect(sync.read()).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});

describe('BatchNewX509SVID', () => {
  it('signs what the agent is authorized for, item by item', async () => {
    const { agent, entries } = await openWith(1);
    await entries.create(testDraft('elsewhere', undefined, { id: 'elsewhere' }));
    const response = await agent.call('SVID.BatchNewX509SVID', {
      params: [
        { entry_id: 'w0', csr: csrFor('spiffe://a.test/w0') },
        { entry_id: 'elsewhere', csr: csrFor('spiffe://a.test/elsewhere') },
        { entry_id: 'w0', csr: csrFor('spiffe://a.test/other') },
        { entry_id: 'w0', csr: Buffer.from('garbage') },
      ],
    });
    const failed = (code: status) => ({ status: expect.objectContaining({ code }) });
    const { results } = Object(response);
    expect(results).toEqual([
      expect.objectContaining({ status: { code: 0, message: 'OK' } }),
      failed(status.PERMISSION_DENIED),
      failed(status.PERMISSION_DENIED),
      failed(status.INVALID_ARGUMENT),
    ]);
    expect(results[0].svid.id).toEqual({ trust_domain: 'a.test', path: '/w0' });
    const svid = parseX509Svid(results[0].svid.cert_chain);
    expect(svid.spiffeId.toString()).toBe('spiffe://a.test/w0');
  });

  it('signs nothing for an agent that was evicted', async () => {
    const { agent, agents, identity } = await openWith(1);
    await agent.call('Entry.GetAuthorizedEntries');
    await agents.delete(SpiffeId.parse(identity.id));
    const params = [{ entry_id: 'w0', csr: csrFor('spiffe://a.test/w0') }];
    await expect(agent.call('SVID.BatchNewX509SVID', { params })).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
    });
  });
});

describe('MintX509SVID', () => {
  async function openAdmin() {
    const fleet = await openFleet();
    await fleet.entries.create(testDraft('ops', undefined, { admin: true }));
    return fleet.dial(await fleet.issueIdentity('spiffe://a.test/ops'));
  }

  it('signs for a workload without an entry', async () => {
    const admin = await openAdmin();
    const csr = csrFor('spiffe://a.test/minted');
    const { svid } = Object(await admin.call('SVID.MintX509SVID', { csr, ttl: 60 }));
    const { leaf, spiffeId } = parseX509Svid(svid.cert_chain);
    expect(spiffeId.toString()).toBe('spiffe://a.test/minted');
    expect(leaf.notAfter).toBe(Number(svid.expires_at) * 1000);
    expect(leaf.notAfter - leaf.notBefore).toBe(75_000);
  });

  it.each([
    'spiffe://a.test/spire/agent/x/1',
    'spiffe://a.test/spire/server',
    'spiffe://b.test/w',
    'spiffe://a.test',
  ])('does not sign for %s', async (id) => {
    const admin = await openAdmin();
    await expect(admin.call('SVID.MintX509SVID', { csr: csrFor(id) })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
  });
});
