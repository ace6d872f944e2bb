import { describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import {
  allOnOnePage,
  openRegistry,
  patchedBucket,
  testAgent,
} from '../../test/fakes/open-registry.ts';
import { testDraft, testEntry } from '../../test/fakes/test-entries.ts';
import { parseSelector, SelectorSet, TrustplaneError } from '../spiffe/index.ts';
import { createMemoryStore } from '../store/memory-store.ts';
import { entryKey } from './entry-record.ts';

const workload = SelectorSet.of([parseSelector('unix:uid:1000')]);
const refusal = (code: string) => expect.objectContaining({ code });

describe('expiry', () => {
  const inAMinute = (clock: FakeClock) => ({ expiresAtSeconds: clock.now() / 1000 + 60 });

  it('takes an entry out of the view at its instant and deletes it', async () => {
    const { registry, clock, bucket } = await openRegistry();
    await registry.create(testDraft('web', undefined, inAMinute(clock)));
    const authorized = registry.authorizedEntries(testAgent);
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
    const broken = patchedBucket(store.bucket('entries'), {
      delete: () => Promise.reject(new TrustplaneError('ERR_STORE_UNAVAILABLE', 'down')),
    });
    const { registry } = await openRegistry({ clock, bucket: broken });
    await registry.create(testDraft('web', undefined, inAMinute(clock)));
    clock.advance(60_000);
    await settle();
    expect((await registry.create(testDraft('web'))).isNew).toBe(true);
    expect(registry.count()).toBe(1);
  });

  it('follows an expiry that an update moves', async () => {
    const { registry, clock } = await openRegistry();
    const { entry } = await registry.create(testDraft('web', undefined, inAMinute(clock)));
    await registry.update(entry.id, { expiresAtSeconds: 0 });
    clock.advance(120_000);
    expect(registry.count()).toBe(1);
    await registry.update(entry.id, inAMinute(clock));
    clock.advance(60_000);
    expect(registry.count()).toBe(0);
  });

  it('waits on when the clock is set back', async () => {
    const { registry, clock } = await openRegistry();
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
    const { registry, clock, store, bucket } = await openRegistry();
    await registry.create(testDraft('web', undefined, inAMinute(clock)));
    await registry.close();
    clock.jump(clock.now() + 3_600_000);
    const later = await openRegistry({ clock, store });
    expect(later.registry.count()).toBe(0);
    clock.advance(0);
    await settle();
    expect((await bucket.list('')).records).toEqual([]);
  });
});

describe('the feed', () => {
  it('shows what another server wrote', async () => {
    const { registry, store, clock, ids } = await openRegistry();
    const other = await openRegistry({ store, clock });
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
    const flaky = patchedBucket(inner, {
      async *watch(prefix, from, signal) {
        if (++feeds === 1) throw new TrustplaneError('ERR_STORE_COMPACTED', 'gone');
        yield* inner.watch(prefix, from, signal);
      },
    });
    const writer = await openRegistry({ clock, store });
    await writer.registry.create(testDraft('stays'));
    const goes = await writer.registry.create(testDraft('goes'));
    const { registry, ids } = await openRegistry({ clock, bucket: flaky });
    await writer.registry.delete(goes.entry.id);
    const comes = await writer.registry.create(testDraft('comes'));
    await writer.registry.update(comes.entry.id, { hint: 'h' });
    const seen: string[][] = [];
    registry.authorizedEntries(testAgent).watch(() => seen.push(ids()));
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
    const { registry, bucket, ids } = await openRegistry();
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
    await expect(openRegistry({ store, clock })).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_ENTRY_RECORD', message: expect.stringContaining(key) }),
    );
    expect((await store.bucket('entries').list('')).revision).toBe(1);
  });

  it('has what is in the store after a restart', async () => {
    const { registry, store, clock } = await openRegistry();
    for (const name of ['a', 'b', 'c']) await registry.create(testDraft(name));
    const before = registry.list({}, allOnOnePage);
    await registry.close();
    const after = await openRegistry({ store, clock });
    expect(after.registry.list({}, allOnOnePage)).toEqual(before);
  });

  it('rejects waiting writes when it is closed', async () => {
    const clock = new FakeClock();
    const inner = createMemoryStore({ clock }).bucket('entries');
    const silent = patchedBucket(inner, {
      async *watch(prefix, from, signal) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        yield* inner.watch(prefix, from, signal);
      },
    });
    const { registry } = await openRegistry({ clock, bucket: silent });
    const results = Promise.allSettled([registry.create(testDraft('web'))]);
    await settle();
    await registry.close();
    expect(await results).toEqual([{ status: 'rejected', reason: refusal('ERR_ENTRY_CLOSED') }]);
  });
});
