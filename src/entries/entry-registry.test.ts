import { describe, expect, it } from 'vitest';
import { settle } from '../../test/fakes/fake-clock.ts';
import {
  allOnOnePage,
  openRegistry,
  patchedBucket,
  testAgent,
} from '../../test/fakes/open-registry.ts';
import { testDraft, testEntry } from '../../test/fakes/test-entries.ts';
import { parseSelector, SelectorSet } from '../spiffe/index.ts';
import { encodeEntryRecord, entryKey } from './entry-record.ts';

const workload = SelectorSet.of([parseSelector('unix:uid:1000')]);
const refusal = (code: string) => expect.objectContaining({ code });

describe('create', () => {
  it('resolves when the entry is durable and in the view', async () => {
    const { registry, bucket, clock } = await openRegistry();
    const { entry, isNew } = await registry.create(testDraft('web'));
    expect(isNew).toBe(true);
    expect(entry).toMatchObject({ revisionNumber: 0, createdAt: clock.now() });
    expect(entry.id).toBe('01010101-0101-0101-0101-010101010101');
    expect(registry.get(entry.id)).toEqual(entry);
    expect((await bucket.list('')).records.map((record) => record.key)).toEqual([entryKey(entry)]);
  });

  it('reaches a watcher of the agent before it resolves', async () => {
    const { registry } = await openRegistry();
    const authorized = registry.authorizedEntries(testAgent);
    const seen: number[] = [];
    authorized.watch(() => seen.push(authorized.match(workload).length));
    await registry.create(testDraft('web'));
    expect(seen).toEqual([1]);
  });

  it('gives back the entry that is there when parent, ID and selectors are the same', async () => {
    const { registry } = await openRegistry();
    const { entry } = await registry.create(
      testDraft('web', ['unix:uid:1', 'unix:gid:1'], { hint: 'first' }),
    );
    const draft = testDraft('web', ['unix:gid:1', 'unix:uid:1', 'unix:gid:1'], { hint: 'second' });
    expect(await registry.create(draft)).toEqual({ entry, isNew: false });
    expect(registry.count()).toBe(1);
  });

  it('makes one entry of the same draft created many times at once', async () => {
    const { registry } = await openRegistry();
    const results = await Promise.all(
      Array.from({ length: 20 }, () => registry.create(testDraft('web'))),
    );
    expect(results.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(new Set(results.map(({ entry }) => entry.id)).size).toBe(1);
  });

  it('refuses an ID that another entry has', async () => {
    const { registry } = await openRegistry();
    await registry.create(testDraft('a', undefined, { id: 'mine' }));
    await expect(registry.create(testDraft('b', undefined, { id: 'mine' }))).rejects.toThrow(
      refusal('ERR_ENTRY_ID_TAKEN'),
    );
  });

  it('takes back what lost its ID to a server that was faster, and both servers agree', async () => {
    const { registry, store, clock, ids } = await openRegistry();
    const other = await openRegistry({ store, clock });
    const results = await Promise.allSettled([
      registry.create(testDraft('a', undefined, { id: 'mine' })),
      other.registry.create(testDraft('b', undefined, { id: 'mine' })),
    ]);
    await settle();
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect([registry.get('mine'), other.registry.get('mine')].map((e) => e?.spiffeId.path)).toEqual(
      ['/a', '/a'],
    );
    expect([ids(), other.ids()]).toEqual([['mine'], ['mine']]);
    expect((await store.bucket('entries').list('')).records).toHaveLength(1);
  });

  it('writes nothing that is not valid', async () => {
    const { registry, bucket } = await openRegistry();
    await expect(registry.create(testDraft('spire/x'))).rejects.toThrow(
      refusal('ERR_ENTRY_SPIFFE_ID'),
    );
    expect((await bucket.list('')).revision).toBe(0);
  });
});

describe('update', () => {
  it('sets the given fields alone and raises the revision number', async () => {
    const { registry } = await openRegistry();
    const { entry } = await registry.create(
      testDraft('web', undefined, { hint: 'h', x509SvidTtlSeconds: 60 }),
    );
    const updated = await registry.update(entry.id, { hint: 'new' });
    expect(updated).toEqual({ ...entry, hint: 'new', revisionNumber: 1 });
    expect(registry.get(entry.id)).toEqual(updated);
  });

  it('merges concurrent updates of different fields, of two servers too', async () => {
    const { registry, store, clock } = await openRegistry();
    const other = await openRegistry({ store, clock });
    const { entry } = await registry.create(testDraft('web'));
    await settle();
    await Promise.all([
      registry.update(entry.id, { hint: 'h' }),
      other.registry.update(entry.id, { x509SvidTtlSeconds: 60 }),
      registry.update(entry.id, { admin: true }),
    ]);
    await settle();
    const merged = { hint: 'h', x509SvidTtlSeconds: 60, admin: true, revisionNumber: 3 };
    expect(registry.get(entry.id)).toMatchObject(merged);
    expect(other.registry.get(entry.id)).toMatchObject(merged);
  });

  it('moves an entry whose identity changes, keeping its ID and creation', async () => {
    const { registry, bucket, clock } = await openRegistry();
    const { entry } = await registry.create(testDraft('web'));
    clock.advance(1000);
    const moved = await registry.update(entry.id, { selectors: [parseSelector('unix:uid:7')] });
    expect(moved).toMatchObject({ id: entry.id, createdAt: entry.createdAt, revisionNumber: 1 });
    expect((await bucket.list('')).records.map(({ key }) => key)).toEqual([entryKey(moved)]);
    expect((await registry.create(testDraft('web'))).isNew).toBe(true);
    expect(registry.count()).toBe(2);
  });

  it('never shows a moving entry twice or not at all', async () => {
    const { registry } = await openRegistry();
    const { entry } = await registry.create(testDraft('web'));
    const authorized = registry.authorizedEntries(testAgent);
    const seen: (string | undefined)[] = [];
    authorized.watch(() =>
      seen.push(`${registry.count()} ${authorized.get(entry.id)?.spiffeId.path}`),
    );
    await registry.update(entry.id, { spiffeId: 'spiffe://a.test/moved' });
    await settle();
    expect(seen).toEqual(['1 /moved']);
  });

  it('refuses to become what another entry is', async () => {
    const { registry } = await openRegistry();
    const { entry } = await registry.create(testDraft('a'));
    await registry.create(testDraft('b'));
    const update = registry.update(entry.id, { spiffeId: 'spiffe://a.test/b' });
    await expect(update).rejects.toThrow(refusal('ERR_ENTRY_EXISTS'));
    expect(registry.get(entry.id)).toEqual(entry);
  });

  it('refuses an ID that is not there', async () => {
    const { registry } = await openRegistry();
    await expect(registry.update('x', {})).rejects.toThrow(refusal('ERR_ENTRY_NOT_FOUND'));
  });

  it('loses and doubles nothing in a crash between the two writes of a move', async () => {
    const { registry, bucket, store, clock } = await openRegistry();
    const { entry } = await registry.create(testDraft('web'));
    await registry.update(entry.id, { hint: 'h' });
    // The process dies before the old record is deleted.
    const dying = await openRegistry({
      clock,
      bucket: patchedBucket(bucket, { delete: () => new Promise(() => {}) }),
    });
    void dying.registry.update(entry.id, { spiffeId: 'spiffe://a.test/moved' });
    await settle();
    expect((await bucket.list('')).records).toHaveLength(2);
    expect(registry.list({}, allOnOnePage).entries.map((e) => e.spiffeId.path)).toEqual(['/moved']);

    const restarted = await openRegistry({ store, clock });
    expect(
      restarted.registry.list({}, allOnOnePage).entries.map((e) => [e.id, e.spiffeId.path]),
    ).toEqual([[entry.id, '/moved']]);
    expect((await bucket.list('')).records).toHaveLength(1);
    await settle();
    expect(registry.get(entry.id)).toMatchObject({ hint: 'h', revisionNumber: 2 });
  });

  it('deletes with an entry what a crash has left behind it', async () => {
    const { registry, bucket, clock } = await openRegistry();
    const { entry } = await registry.create(testDraft('web'));
    const dying = await openRegistry({
      clock,
      bucket: patchedBucket(bucket, { delete: () => new Promise(() => {}) }),
    });
    void dying.registry.update(entry.id, { spiffeId: 'spiffe://a.test/moved' });
    await settle();
    await registry.delete(entry.id);
    expect((await bucket.list('')).records).toEqual([]);
    expect(registry.count()).toBe(0);
  });
});

describe('many writes of one entry at once', () => {
  it('end without a conflict, and a delete is not lost among them', async () => {
    const { registry } = await openRegistry();
    const { entry } = await registry.create(testDraft('web'));
    const update = (hint: string) => registry.update(entry.id, { hint });
    const before = Array.from({ length: 50 }, (_, index) => update(`before ${index}`));
    const deleted = registry.delete(entry.id);
    const after = Array.from({ length: 50 }, () => update('after').catch((error) => error));
    expect((await Promise.all(before)).at(-1)).toMatchObject({ revisionNumber: 50 });
    expect(await deleted).toMatchObject({ hint: 'before 49' });
    expect(new Set((await Promise.all(after)).map(({ code }) => code))).toEqual(
      new Set(['ERR_ENTRY_NOT_FOUND']),
    );
    expect(registry.count()).toBe(0);
  });

  it('are bounded', async () => {
    const { registry } = await openRegistry();
    const { entry } = await registry.create(testDraft('web'));
    const updates = Array.from({ length: 1_001 }, () => registry.update(entry.id, { hint: 'x' }));
    const refused = (await Promise.allSettled(updates)).filter(
      ({ status }) => status === 'rejected',
    );
    expect(refused).toEqual([{ status: 'rejected', reason: refusal('ERR_ENTRY_CONFLICT') }]);
  });
});

describe('delete', () => {
  it('returns the entry, once', async () => {
    const { registry, ids } = await openRegistry();
    const { entry } = await registry.create(testDraft('web'));
    expect(await registry.delete(entry.id)).toEqual(entry);
    expect(ids()).toEqual([]);
    await expect(registry.delete(entry.id)).rejects.toThrow(refusal('ERR_ENTRY_NOT_FOUND'));
  });

  it('waits for the news when another server was faster', async () => {
    const { registry, store, clock } = await openRegistry();
    const other = await openRegistry({ store, clock });
    const { entry } = await registry.create(testDraft('web'));
    await settle();
    const results = await Promise.allSettled([
      registry.delete(entry.id),
      other.registry.delete(entry.id),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });
});

describe('a record of a foreign beginning', () => {
  it('does not take an entry ID from the one that has it, however often it is updated', async () => {
    const { registry, bucket } = await openRegistry();
    await registry.create(testDraft('a', undefined, { id: 'mine' }));
    const rival = testEntry('b', undefined, { id: 'mine', revisionNumber: 9 });
    await bucket.put(
      entryKey(rival),
      encodeEntryRecord({ entry: rival, firstRevision: undefined }),
      0,
    );
    await settle();
    expect(registry.get('mine')?.spiffeId.path).toBe('/a');
    await registry.update('mine', { spiffeId: 'spiffe://a.test/a2' });
    await settle();
    expect(registry.get('mine')?.spiffeId.path).toBe('/a2');
  });
});
