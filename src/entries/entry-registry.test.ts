import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import {
  testAgentId,
  testDraft,
  testEntry,
  testTrustDomain,
} from '../../test/fakes/test-entries.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { parseSelector, SelectorSet, SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import type { Bucket, Store } from '../store/index.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { encodeEntryRecord, entryKey } from './entry-record.ts';
import { EntryRegistry } from './entry-registry.ts';
import { defaultSelectorTypes } from './entry-selectors.ts';

const all = { pageSize: 0, pageToken: '' };
const workload = SelectorSet.of([parseSelector('unix:uid:1000')]);
const agent = { agentId: SpiffeId.parse(testAgentId), nodeSelectors: SelectorSet.of([]) };

async function open(options: { clock?: FakeClock; store?: Store; bucket?: Bucket } = {}) {
  const clock = options.clock ?? new FakeClock();
  const store = options.store ?? createMemoryStore({ clock });
  const bucket = options.bucket ?? store.bucket('entries');
  let serial = 0;
  const registry = await EntryRegistry.load({
    bucket,
    trustDomain: testTrustDomain,
    selectorTypes: defaultSelectorTypes,
    clock,
    randomBytes: (size) => new Uint8Array(size).fill(++serial),
    log: silentLog,
    metrics: createMetrics(),
  });
  onTestFinished(() => registry.close());
  const ids = () => registry.list({}, all).entries.map((entry) => entry.id);
  return { clock, store, bucket, registry, ids };
}

const refusal = (code: string) => expect.objectContaining({ code });

/** The bucket with one method replaced. */
function patched(bucket: Bucket, patch: Partial<Bucket>): Bucket {
  return {
    get: (key) => bucket.get(key),
    put: (key, value, expected) => bucket.put(key, value, expected),
    delete: (key, expected) => bucket.delete(key, expected),
    list: (prefix) => bucket.list(prefix),
    watch: (prefix, from, signal) => bucket.watch(prefix, from, signal),
    ...patch,
  };
}

describe('create', () => {
  it('resolves when the entry is durable and in the view', async () => {
    const { registry, bucket, clock } = await open();
    const { entry, isNew } = await registry.create(testDraft('web'));
    expect(isNew).toBe(true);
    expect(entry).toMatchObject({ revisionNumber: 0, createdAt: clock.now() });
    expect(entry.id).toBe('01010101-0101-0101-0101-010101010101');
    expect(registry.get(entry.id)).toEqual(entry);
    expect((await bucket.list('')).records.map((record) => record.key)).toEqual([entryKey(entry)]);
  });

  it('reaches a watcher of the agent before it resolves', async () => {
    const { registry } = await open();
    const authorized = registry.authorizedEntries(agent);
    const seen: number[] = [];
    authorized.watch(() => seen.push(authorized.match(workload).length));
    await registry.create(testDraft('web'));
    expect(seen).toEqual([1]);
  });

  it('gives back the entry that is there when parent, ID and selectors are the same', async () => {
    const { registry } = await open();
    const { entry } = await registry.create(
      testDraft('web', ['unix:uid:1', 'unix:gid:1'], { hint: 'first' }),
    );
    const draft = testDraft('web', ['unix:gid:1', 'unix:uid:1', 'unix:gid:1'], { hint: 'second' });
    expect(await registry.create(draft)).toEqual({ entry, isNew: false });
    expect(registry.count()).toBe(1);
  });

  it('makes one entry of the same draft created many times at once', async () => {
    const { registry } = await open();
    const results = await Promise.all(
      Array.from({ length: 20 }, () => registry.create(testDraft('web'))),
    );
    expect(results.filter(({ isNew }) => isNew)).toHaveLength(1);
    expect(new Set(results.map(({ entry }) => entry.id)).size).toBe(1);
  });

  it('refuses an ID that another entry has', async () => {
    const { registry } = await open();
    await registry.create(testDraft('a', undefined, { id: 'mine' }));
    await expect(registry.create(testDraft('b', undefined, { id: 'mine' }))).rejects.toThrow(
      refusal('ERR_ENTRY_ID_TAKEN'),
    );
  });

  it('takes back what lost its ID to a server that was faster, and both servers agree', async () => {
    const { registry, store, clock, ids } = await open();
    const other = await open({ store, clock });
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
    const { registry, bucket } = await open();
    await expect(registry.create(testDraft('spire/x'))).rejects.toThrow(
      refusal('ERR_ENTRY_SPIFFE_ID'),
    );
    expect((await bucket.list('')).revision).toBe(0);
  });
});

describe('update', () => {
  it('sets the given fields alone and raises the revision number', async () => {
    const { registry } = await open();
    const { entry } = await registry.create(
      testDraft('web', undefined, { hint: 'h', x509SvidTtlSeconds: 60 }),
    );
    const updated = await registry.update(entry.id, { hint: 'new' });
    expect(updated).toEqual({ ...entry, hint: 'new', revisionNumber: 1 });
    expect(registry.get(entry.id)).toEqual(updated);
  });

  it('merges concurrent updates of different fields, of two servers too', async () => {
    const { registry, store, clock } = await open();
    const other = await open({ store, clock });
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
    const { registry, bucket, clock } = await open();
    const { entry } = await registry.create(testDraft('web'));
    clock.advance(1000);
    const moved = await registry.update(entry.id, { selectors: [parseSelector('unix:uid:7')] });
    expect(moved).toMatchObject({ id: entry.id, createdAt: entry.createdAt, revisionNumber: 1 });
    expect((await bucket.list('')).records.map(({ key }) => key)).toEqual([entryKey(moved)]);
    expect((await registry.create(testDraft('web'))).isNew).toBe(true);
    expect(registry.count()).toBe(2);
  });

  it('never shows a moving entry twice or not at all', async () => {
    const { registry } = await open();
    const { entry } = await registry.create(testDraft('web'));
    const authorized = registry.authorizedEntries(agent);
    const seen: (string | undefined)[] = [];
    authorized.watch(() =>
      seen.push(`${registry.count()} ${authorized.get(entry.id)?.spiffeId.path}`),
    );
    await registry.update(entry.id, { spiffeId: 'spiffe://a.test/moved' });
    await settle();
    expect(seen).toEqual(['1 /moved']);
  });

  it('refuses to become what another entry is', async () => {
    const { registry } = await open();
    const { entry } = await registry.create(testDraft('a'));
    await registry.create(testDraft('b'));
    const update = registry.update(entry.id, { spiffeId: 'spiffe://a.test/b' });
    await expect(update).rejects.toThrow(refusal('ERR_ENTRY_EXISTS'));
    expect(registry.get(entry.id)).toEqual(entry);
  });

  it('refuses an ID that is not there', async () => {
    const { registry } = await open();
    await expect(registry.update('x', {})).rejects.toThrow(refusal('ERR_ENTRY_NOT_FOUND'));
  });

  it('loses and doubles nothing in a crash between the two writes of a move', async () => {
    const { registry, bucket, store, clock } = await open();
    const { entry } = await registry.create(testDraft('web'));
    await registry.update(entry.id, { hint: 'h' });
    // The process dies before the old record is deleted.
    const dying = await open({
      clock,
      bucket: patched(bucket, { delete: () => new Promise(() => {}) }),
    });
    void dying.registry.update(entry.id, { spiffeId: 'spiffe://a.test/moved' });
    await settle();
    expect((await bucket.list('')).records).toHaveLength(2);
    expect(registry.list({}, all).entries.map((e) => e.spiffeId.path)).toEqual(['/moved']);

    const restarted = await open({ store, clock });
    expect(restarted.registry.list({}, all).entries.map((e) => [e.id, e.spiffeId.path])).toEqual([
      [entry.id, '/moved'],
    ]);
    expect((await bucket.list('')).records).toHaveLength(1);
    await settle();
    expect(registry.get(entry.id)).toMatchObject({ hint: 'h', revisionNumber: 2 });
  });

  it('deletes with an entry what a crash has left behind it', async () => {
    const { registry, bucket, clock } = await open();
    const { entry } = await registry.create(testDraft('web'));
    const dying = await open({
      clock,
      bucket: patched(bucket, { delete: () => new Promise(() => {}) }),
    });
    void dying.registry.update(entry.id, { spiffeId: 'spiffe://a.test/moved' });
    await settle();
    await registry.delete(entry.id);
    expect((await bucket.list('')).records).toEqual([]);
    expect(registry.count()).toBe(0);
  });
});

describe('delete', () => {
  it('returns the entry, once', async () => {
    const { registry, ids } = await open();
    const { entry } = await registry.create(testDraft('web'));
    expect(await registry.delete(entry.id)).toEqual(entry);
    expect(ids()).toEqual([]);
    await expect(registry.delete(entry.id)).rejects.toThrow(refusal('ERR_ENTRY_NOT_FOUND'));
  });

  it('waits for the news when another server was faster', async () => {
    const { registry, store, clock } = await open();
    const other = await open({ store, clock });
    const { entry } = await registry.create(testDraft('web'));
    await settle();
    const results = await Promise.allSettled([
      registry.delete(entry.id),
      other.registry.delete(entry.id),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });
});

describe('expiry', () => {
  const inAMinute = (clock: FakeClock) => ({ expiresAtSeconds: clock.now() / 1000 + 60 });

  it('takes an entry out of the view at its instant and deletes it', async () => {
    const { registry, clock, bucket } = await open();
    await registry.create(testDraft('web', undefined, inAMinute(clock)));
    const authorized = registry.authorizedEntries(agent);
    const seen: number[] = [];
    authorized.watch(() => seen.push(authorized.match(workload).length));
    clock.advance(59_999);
    expect([registry.count(), seen]).toEqual([1, []]);
    clock.advance(1);
    expect([registry.count(), seen]).toEqual([0, [0]]);
    await settle();
    expect((await bucket.list('')).records).toEqual([]);
  });

  it('makes room for the same entry at once, though the old record is still stored', async () => {
    const clock = new FakeClock();
    const store = createMemoryStore({ clock });
    const broken = patched(store.bucket('entries'), {
      delete: () => Promise.reject(new TrustplaneError('ERR_STORE_UNAVAILABLE', 'down')),
    });
    const { registry } = await open({ clock, bucket: broken });
    await registry.create(testDraft('web', undefined, inAMinute(clock)));
    clock.advance(60_000);
    await settle();
    expect((await registry.create(testDraft('web'))).isNew).toBe(true);
    expect(registry.count()).toBe(1);
  });

  it('follows an expiry that an update moves', async () => {
    const { registry, clock } = await open();
    const { entry } = await registry.create(testDraft('web', undefined, inAMinute(clock)));
    await registry.update(entry.id, { expiresAtSeconds: 0 });
    clock.advance(120_000);
    expect(registry.count()).toBe(1);
    await registry.update(entry.id, inAMinute(clock));
    clock.advance(60_000);
    expect(registry.count()).toBe(0);
  });

  it('waits on when the clock is set back', async () => {
    const { registry, clock } = await open();
    await registry.create(testDraft('web', undefined, inAMinute(clock)));
    const start = clock.now();
    // The timer comes due by elapsed time, when the wall clock shows an hour less.
    clock.jump(start - 3_600_000);
    clock.advance(60_000);
    expect(registry.count()).toBe(1);
    clock.advance(3_600_000);
    expect(registry.count()).toBe(0);
  });

  it('leaves out at load what expired while nobody looked', async () => {
    const { registry, clock, store, bucket } = await open();
    await registry.create(testDraft('web', undefined, inAMinute(clock)));
    await registry.close();
    clock.jump(clock.now() + 3_600_000);
    const later = await open({ clock, store });
    expect(later.registry.count()).toBe(0);
    clock.advance(0);
    await settle();
    expect((await bucket.list('')).records).toEqual([]);
  });
});

describe('the feed', () => {
  it('shows what another server wrote', async () => {
    const { registry, store, clock, ids } = await open();
    const other = await open({ store, clock });
    const { entry } = await other.registry.create(testDraft('web'));
    await settle();
    expect(ids()).toEqual([entry.id]);
    expect(registry.get(entry.id)).toEqual(entry);
  });

  it('reads everything again after a doubt, and tells of the differences once', async () => {
    const clock = new FakeClock();
    const store = createMemoryStore({ clock });
    const inner = store.bucket('entries');
    let feeds = 0;
    const flaky = patched(inner, {
      async *watch(prefix, from, signal) {
        if (++feeds === 1) throw new TrustplaneError('ERR_STORE_COMPACTED', 'gone');
        yield* inner.watch(prefix, from, signal);
      },
    });
    const writer = await open({ clock, store });
    await writer.registry.create(testDraft('stays'));
    const goes = await writer.registry.create(testDraft('goes'));
    const { registry, ids } = await open({ clock, bucket: flaky });
    await writer.registry.delete(goes.entry.id);
    const comes = await writer.registry.create(testDraft('comes'));
    await writer.registry.update(comes.entry.id, { hint: 'h' });
    const seen: string[][] = [];
    registry.authorizedEntries(agent).watch(() => seen.push(ids()));
    await settle();
    expect(feeds).toBe(1);
    await clock.advanceAsync(100);
    expect(seen).toEqual([writer.ids()]);
    expect(registry.get(comes.entry.id)?.hint).toBe('h');
    await writer.registry.create(testDraft('later'));
    await settle();
    expect(ids()).toEqual(writer.ids());
  });

  it('leaves a record out that cannot be read, and serves the others', async () => {
    const { registry, bucket, ids } = await open();
    const { entry } = await registry.create(testDraft('bad'));
    await registry.create(testDraft('good'));
    await bucket.put(entryKey(entry), Buffer.from('{"v":2}'));
    await settle();
    expect([ids().length, registry.get(entry.id)]).toEqual([1, undefined]);
  });

  it('refuses to start with a damaged record, names it and touches nothing', async () => {
    const clock = new FakeClock();
    const store = createMemoryStore({ clock });
    const key = entryKey(testEntry('web'));
    await store.bucket('entries').put(key, Buffer.from('garbage'));
    await expect(open({ store, clock })).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_ENTRY_RECORD', message: expect.stringContaining(key) }),
    );
    expect((await store.bucket('entries').list('')).revision).toBe(1);
  });

  it('has what is in the store after a restart', async () => {
    const { registry, store, clock } = await open();
    for (const name of ['a', 'b', 'c']) await registry.create(testDraft(name));
    const before = registry.list({}, all);
    await registry.close();
    const after = await open({ store, clock });
    expect(after.registry.list({}, all)).toEqual(before);
  });

  it('rejects waiting writes when it is closed', async () => {
    const clock = new FakeClock();
    const inner = createMemoryStore({ clock }).bucket('entries');
    const silent = patched(inner, {
      async *watch(prefix, from, signal) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        yield* inner.watch(prefix, from, signal);
      },
    });
    const { registry } = await open({ clock, bucket: silent });
    const results = Promise.allSettled([registry.create(testDraft('web'))]);
    await settle();
    await registry.close();
    expect(await results).toEqual([{ status: 'rejected', reason: refusal('ERR_ENTRY_CLOSED') }]);
  });
});

describe('a record of a foreign beginning', () => {
  it('does not take an entry ID from the one that has it, however often it is updated', async () => {
    const { registry, bucket } = await open();
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
