import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { openApply } from '../../test/fakes/open-apply.ts';
import { patchedBucket } from '../../test/fakes/open-registry.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';
import { silentLog } from '../ops/index.ts';
import { Lease, type Store } from '../store/index.ts';

const document = (name: string, uid = 1_000, more = '') => `---
apiVersion: trustplane/v1
kind: RegistrationEntry
spiffeId: spiffe://a.test/${name}
parentId: spiffe://a.test/spire/agent/local/up
selectors: [unix:uid:${uid}]
${more}
`;

const relationship = (more = '') => `---
apiVersion: trustplane/v1
kind: FederationRelationship
trustDomain: b.test
bundleEndpointUrl: https://b.test/bundle
bundleEndpointProfile: https_web
${more}
`;

describe('applying documents', () => {
  it('makes, changes and removes what the set has, and is told what it did', async () => {
    const { apply, registry, relationships, recorded } = await openApply();
    const first = await apply(document('web') + document('api') + relationship());
    expect(first.outcome).toMatchObject({ added: 3, left: [], failure: undefined });
    const second = await apply(
      document('web', 1_000, 'hint: x') + document('db') + relationship('awaitAck: true'),
      { prune: true },
    );
    expect(second.plan.changes.map(({ kind, name, fields }) => [kind, name, fields])).toEqual([
      ['add', 'spiffe://a.test/db', []],
      ['change', 'spiffe://a.test/web', [{ name: 'hint', before: '', after: 'x' }]],
      ['change', 'b.test', [{ name: 'awaitAck', before: '', after: 'true' }]],
      ['remove', 'spiffe://a.test/api', []],
    ]);
    expect(second.outcome).toMatchObject({ added: 1, changed: 2, removed: 1 });
    expect(recorded.at(-1)).toMatch(
      /^set test: added spiffe:\/\/a\.test\/db below \S+ for unix:uid:\d+; changed spiffe:\/\/a\.test\/web \(.+\) below \S+ for unix:uid:\d+; changed the relationship with b\.test; removed spiffe:\/\/a\.test\/api \(.+\)$/u,
    );
    expect(Array.from(registry.all(), ({ spiffeId }) => spiffeId.path).sort()).toEqual([
      '/db',
      '/web',
    ]);
    expect(relationships.all()).toMatchObject([{ awaitAck: true, managedBy: 'test' }]);
  });

  it('changes nothing the second time, nor in a dry run', async () => {
    const { apply, registry } = await openApply();
    const dry = await apply(document('web'), { dryRun: true });
    expect([dry.plan.added, dry.outcome, registry.count()]).toEqual([1, undefined, 0]);
    await apply(document('web'), { expectedPlan: dry.plan.digest });
    expect((await apply(document('web'))).plan).toMatchObject({ unchanged: 1, changes: [] });
  });

  it('leaves alone what others made, unless it says the same', async () => {
    const { apply, entries, registry } = await openApply();
    const { entry } = await entries.create(testDraft('by-hand'));
    await entries.create(testDraft('web'));
    const { plan } = await apply(document('web'), { prune: true });
    expect(plan.changes).toMatchObject([{ kind: 'change', fields: [{ name: 'managedBy' }] }]);
    expect(registry.get(entry.id)).toMatchObject({ id: entry.id });
    expect((await apply(document('web'), { set: 'other' })).plan.complaints).toEqual([
      expect.stringContaining('is kept by the set "test"; --take-over takes it'),
    ]);
    const taken = await apply(document('web'), { set: 'other', takeOver: true });
    expect(taken.outcome).toMatchObject({ changed: 1 });
  });

  it('does not remove everything, or most, unless told', async () => {
    const { apply, registry } = await openApply();
    const many = Array.from({ length: 30 }, (_, uid) => document('web', uid)).join('');
    await apply(many);
    const none = await apply('', { prune: true });
    expect(none.plan.complaints).toEqual([expect.stringContaining('there are no documents')]);
    const few = await apply(document('web', 1), { prune: true });
    expect(few.plan.complaints).toEqual([expect.stringContaining('29 of 30')]);
    expect(registry.count()).toBe(30);
    await apply('', { prune: true, allowRemovals: true });
    expect(registry.count()).toBe(0);
  });

  it('tells the second of two at once, and loses nothing', async () => {
    const { apply, registry, client } = await openApply();
    await apply(document('web'));
    const results = await Promise.all([
      apply(document('web', 1_000, 'hint: one') + document('a'), { prune: true }),
      apply(document('web', 1_000, 'hint: two') + document('b'), { prune: true }),
    ]);
    const failures = results.map(({ outcome }) => outcome?.failure?.code);
    expect(new Set(failures)).toEqual(new Set(['ERR_APPLY_CHANGED', undefined]));
    const won = results.findIndex(({ outcome }) => outcome?.failure === undefined);
    const lost = results[1 - won];
    expect(lost?.outcome?.left).toHaveLength(lost?.plan.changes.length ?? -1);
    const hints = Array.from(registry.all(), ({ hint }) => hint).filter(Boolean);
    expect(hints).toEqual([won === 0 ? 'one' : 'two']);
    expect(client).toBeDefined();
  });

  it('tells the second of two at once at different servers, and loses nothing', async () => {
    const two = await openApply({ serverId: 'two', otherServers: 1 });
    const [begun, told] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const bucket = two.store.bucket('entries');
    const slow = patchedBucket(bucket, {
      put: async (...write) => {
        begun.resolve();
        await told.promise;
        return await bucket.put(...write);
      },
    });
    const store: Store = {
      ...two.store,
      bucket: (name) => (name === 'entries' ? slow : two.store.bucket(name)),
    };
    const one = await openApply({ clock: two.clock, store });
    const first = one.apply(document('a'), { prune: true });
    await begun.promise;
    const second = await two.apply(document('b'), { prune: true });
    expect(second.outcome).toMatchObject({ added: 0, failure: { code: 'ERR_APPLY_CHANGED' } });
    expect(second.outcome?.left).toHaveLength(1);
    expect(second.plan.impact.otherServers).toBe(1);
    told.resolve();
    expect((await first).outcome).toMatchObject({ added: 1, failure: undefined });
    await two.registry.catchUpNow();
    expect(Array.from(two.registry.all(), ({ spiffeId }) => spiffeId.path)).toEqual(['/a']);
    expect((await two.apply(document('a') + document('b'))).plan).toMatchObject({ added: 1 });
  });

  it('tells of what came to the set since it was planned, where it prunes', async () => {
    const { apply, entries, store, clock } = await openApply();
    const leases = store.bucket('leases');
    const late = patchedBucket(leases, {
      put: async (...write) => {
        await entries.create({ ...testDraft('late'), managedBy: 'test' });
        return await leases.put(...write);
      },
    });
    const at: Store = {
      ...store,
      bucket: (name) => (name === 'leases' ? late : store.bucket(name)),
    };
    const other = await openApply({ clock, store: at });
    const pruned = await other.apply(document('web'), { prune: true });
    expect(pruned.outcome).toMatchObject({ added: 0, failure: { code: 'ERR_APPLY_CHANGED' } });
    expect((await apply(document('web'))).outcome).toMatchObject({ added: 1 });
  });

  it('prunes what its own set made, and nothing of another set', async () => {
    const { apply, registry } = await openApply();
    await apply(document('web'), { set: 'one' });
    await apply(document('api'), { set: 'two' });
    const { plan } = await apply(document('db'), {
      set: 'one',
      prune: true,
      allowRemovals: true,
    });
    expect(plan.changes.map(({ kind, name }) => [kind, name])).toEqual([
      ['add', 'spiffe://a.test/db'],
      ['remove', 'spiffe://a.test/web'],
    ]);
    expect(Array.from(registry.all(), ({ spiffeId }) => spiffeId.path).sort()).toEqual([
      '/api',
      '/db',
    ]);
  });

  it.each([
    ['change', document('web', 1_000, 'hint: mine')],
    ['remove', document('db')],
  ])('does not %s what others changed since it was planned', async (_, text) => {
    const { apply, entries, registry, store, clock } = await openApply();
    await apply(document('web'));
    const [web] = registry.all();
    const leases = store.bucket('leases');
    const late = patchedBucket(leases, {
      put: async (...write) => {
        await entries.update(web?.id ?? '', { hint: 'theirs' });
        return await leases.put(...write);
      },
    });
    const at: Store = {
      ...store,
      bucket: (name) => (name === 'leases' ? late : store.bucket(name)),
    };
    const other = await openApply({ clock, store: at });
    const { outcome } = await other.apply(text, { prune: true, allowRemovals: true });
    expect(outcome).toMatchObject({ failure: { code: 'ERR_APPLY_CHANGED' } });
    expect(Array.from(registry.all(), ({ hint }) => hint)).toEqual(['theirs']);
  });

  it('is not held up by what its server left when it died', async () => {
    const { apply, store, clock } = await openApply();
    const bucket = store.bucket('leases');
    const open = async (holder: string, set: string) =>
      await Lease.open({
        bucket,
        clock,
        log: silentLog,
        holder,
        ttlMs: 5_000,
        key: `apply.${hash('sha256', set, 'base64url')}`,
      });
    const [own, others] = [await open('one.x', 'test'), await open('two.x', 'other')];
    expect((await apply(document('web'))).outcome).toMatchObject({ added: 1 });
    const refused = await apply(document('api'), { set: 'other' });
    expect(refused.outcome).toMatchObject({ added: 0, failure: { code: 'ERR_APPLY_CHANGED' } });
    await others.close();
    expect((await apply(document('api'), { set: 'other' })).outcome).toMatchObject({ added: 1 });
    await own.close();
  });

  it('refuses an entry that is too large before anything is applied', async () => {
    const { apply, registry } = await openApply();
    const names = Array.from({ length: 1_024 }, (_, i) => `${'x'.repeat(60)}${i}.test`);
    const large = document('large', 1, `federatesWith: [${names.join(', ')}]`);
    const { plan, outcome } = await apply(document('web') + large);
    expect(plan.complaints).toEqual([
      expect.stringMatching(/^x\.yaml:\d+: the entry: expected at most 65536 bytes in all; got/u),
    ]);
    expect([outcome, registry.count()]).toEqual([undefined, 0]);
  });

  it('says that entries which change places take two applies', async () => {
    const { apply, registry } = await openApply();
    const named = (name: string, id: string) => document(name, 1_000, `id: ${id}`);
    await apply(named('a', 'one') + named('b', 'two') + named('c', 'three'));
    const swapped = await apply(named('b', 'one') + named('a', 'two'));
    expect(swapped.plan.complaints).toEqual([
      expect.stringMatching(
        /entry "one": "two" has .* now, and is to have others, at x\.yaml:\d+: that takes two applies/u,
      ),
      expect.stringMatching(
        /entry "two": "one" has .* now, and is to have others, at x\.yaml:\d+: that takes two applies/u,
      ),
    ]);
    const chain = await apply(named('b', 'one') + named('d', 'two'));
    expect(chain.plan.complaints).toEqual([expect.stringContaining('that takes two applies')]);
    const over = await apply(named('c', 'one') + named('b', 'two'), { prune: true });
    expect(over.plan.complaints).toEqual([
      expect.stringContaining('now, and is to be removed: that takes two applies'),
    ]);
    expect(swapped.outcome).toBeUndefined();
    // As told: first what is in the way.
    await apply(named('a', 'one') + named('d', 'two'));
    await apply(named('b', 'one') + named('d', 'two'));
    expect(registry.get('one')?.spiffeId.path).toBe('/b');
  });

  it('tells of what changed since the plan that is expected', async () => {
    const { apply, entries, registry } = await openApply();
    await apply(document('web'));
    const { plan } = await apply(document('web', 1_000, 'hint: x'), { dryRun: true });
    const [entry] = registry.all();
    await entries.update(entry?.id ?? '', { hint: 'by hand' });
    const late = await apply(document('web', 1_000, 'hint: x'), { expectedPlan: plan.digest });
    expect(late.outcome).toMatchObject({ changed: 0, failure: { code: 'ERR_APPLY_CHANGED' } });
    expect(Array.from(registry.all(), ({ hint }) => hint)).toEqual(['by hand']);
  });

  it('goes on from where a store failed', async () => {
    const broken = await openApply();
    const bucket = broken.store.bucket('entries');
    let left = 5;
    const failing = patchedBucket(bucket, {
      put: async (key, value, expected) => {
        if (left-- <= 0) throw new Error('no room');
        return await bucket.put(key, value, expected);
      },
    });
    const store: Store = {
      ...broken.store,
      bucket: (name) => (name === 'entries' ? failing : broken.store.bucket(name)),
    };
    const { apply, registry } = await openApply({ clock: broken.clock, store });
    const many = Array.from({ length: 20 }, (_, uid) => document('web', uid)).join('');
    const { outcome, plan } = await apply(many);
    expect(outcome?.failure).toBeDefined();
    expect(outcome?.added).toBe(5);
    expect(outcome?.left).toHaveLength(plan.changes.length - 5);
    left = Number.POSITIVE_INFINITY;
    expect((await apply(many)).plan).toMatchObject({ added: 15, unchanged: 5 });
    expect(registry.count()).toBe(20);
  });
});
