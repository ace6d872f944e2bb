import { describe, expect, it } from 'vitest';
import { openApply } from '../../test/fakes/open-apply.ts';
import { patchedBucket } from '../../test/fakes/open-registry.ts';
import { testDraft } from '../../test/fakes/test-entries.ts';

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
    const store = { ...broken.store, bucket: () => failing };
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
