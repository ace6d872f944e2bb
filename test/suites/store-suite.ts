import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TrustplaneError } from '../../src/spiffe/errors.ts';
import type { Bucket, StoredRecord, StoreEvent, StoreSnapshot } from '../../src/store/index.ts';
import { storeLimits } from '../../src/store/index.ts';
import { settle } from '../fakes/fake-clock.ts';
import type { StoreFixture } from './store-fixture.ts';
import { describeStoreModel } from './store-model-suite.ts';

/** What every store holds to. */
export function describeStore(name: string, create: () => Promise<StoreFixture>): void {
  describe(`store: ${name}`, () => {
    let fixture: StoreFixture;
    let bucket: Bucket;

    beforeEach(async () => {
      fixture = await create();
      bucket = fixture.store.bucket('entries');
    });
    afterEach(() => fixture.dispose());

    describe('put, get, delete', () => {
      it('has nothing at first', async () => {
        expect(await bucket.get('a')).toBeUndefined();
        expect(await bucket.list('')).toEqual({ records: [], revision: 0 });
      });

      it('reads what was written, with a revision that rises', async () => {
        const first = await bucket.put('a', bytes('1'));
        const second = await bucket.put('b', bytes('2'));
        const third = await bucket.put('a', bytes('3'));
        expect(first).toBeGreaterThan(0);
        expect(second).toBeGreaterThan(first);
        expect(third).toBeGreaterThan(second);
        expect(await bucket.get('a')).toEqual({ key: 'a', value: bytes('3'), revision: third });
        expect(await bucket.get('b')).toEqual({ key: 'b', value: bytes('2'), revision: second });
      });

      it('creates only what does not exist', async () => {
        const revision = await bucket.put('a', bytes('1'), 0);
        expect(await codeOf(bucket.put('a', bytes('2'), 0))).toBe('ERR_STORE_CONFLICT');
        expect(await bucket.get('a')).toEqual({ key: 'a', value: bytes('1'), revision });
        await bucket.delete('a');
        expect(await bucket.put('a', bytes('3'), 0)).toBeGreaterThan(revision);
      });

      it('changes only what is at the expected revision', async () => {
        const first = await bucket.put('a', bytes('1'));
        const second = await bucket.put('a', bytes('2'), first);
        expect(await codeOf(bucket.put('a', bytes('3'), first))).toBe('ERR_STORE_CONFLICT');
        expect(await codeOf(bucket.put('a', bytes('3'), second + 1))).toBe('ERR_STORE_CONFLICT');
        expect(await codeOf(bucket.put('missing', bytes('3'), first))).toBe('ERR_STORE_CONFLICT');
        expect(await codeOf(bucket.delete('a', first))).toBe('ERR_STORE_CONFLICT');
        expect(await codeOf(bucket.delete('a', 0))).toBe('ERR_STORE_CONFLICT');
        expect(await bucket.get('a')).toEqual({ key: 'a', value: bytes('2'), revision: second });
      });

      it('deletes once', async () => {
        const revision = await bucket.put('a', bytes('1'));
        const deleted = await bucket.delete('a', revision);
        expect(deleted).toBeGreaterThan(revision);
        expect(await bucket.get('a')).toBeUndefined();
        expect(await bucket.delete('a')).toBeUndefined();
        expect(await bucket.delete('a', 0)).toBeUndefined();
        expect(await codeOf(bucket.delete('a', revision))).toBe('ERR_STORE_CONFLICT');
        expect(await codeOf(bucket.put('a', bytes('2'), revision))).toBe('ERR_STORE_CONFLICT');
        expect(await codeOf(bucket.put('a', bytes('2'), deleted))).toBe('ERR_STORE_CONFLICT');
      });

      it('a conflict names the key and both revisions', async () => {
        await bucket.put('spent.token', bytes('1'));
        await expect(bucket.put('spent.token', bytes('2'), 7)).rejects.toThrow(
          'spent.token must be at revision 7, but is at revision 1',
        );
        await expect(bucket.put('spent.token', bytes('2'), 0)).rejects.toThrow(
          'spent.token must not exist, but is at revision 1',
        );
        await expect(bucket.put('other', bytes('2'), 7)).rejects.toThrow(
          'other must be at revision 7, but does not exist',
        );
      });

      it('lets exactly one of many racers win', async () => {
        const revision = await bucket.put('lock', bytes('free'));
        const racers = Array.from({ length: 50 }, (_, i) =>
          bucket.put('lock', bytes(`holder ${i}`), revision),
        );
        const results = await Promise.allSettled(racers);
        const winners = results.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []));
        expect(winners).toHaveLength(1);
        expect((await bucket.get('lock'))?.value).toEqual(bytes(`holder ${winners[0]}`));
      });

      it('keeps buckets apart', async () => {
        const other = fixture.store.bucket('agents');
        await bucket.put('a', bytes('1'));
        await bucket.put('a', bytes('2'));
        expect(await other.get('a')).toBeUndefined();
        expect(await other.put('a', bytes('3'), 0)).toBe(1);
        expect((await bucket.get('a'))?.value).toEqual(bytes('2'));
      });

      it('a failed write uses up nothing and does not stop the others', async () => {
        const results = await Promise.allSettled([
          bucket.put('a', bytes('1'), 0),
          bucket.put('a', bytes('2'), 0),
          bucket.put('not a key', bytes('3')),
          bucket.put('b', bytes('4'), 0),
        ]);
        expect(results.map(({ status }) => status)).toEqual([
          'fulfilled',
          'rejected',
          'rejected',
          'fulfilled',
        ]);
        expect(keysOf(await bucket.list(''))).toEqual(['a', 'b']);
      });
    });

    describe('keys and values', () => {
      const longest = 'k'.repeat(storeLimits.maxKeyBytes);

      it('takes keys of tokens joined by dots', async () => {
        for (const key of ['a', 'A-z_0.9', '-', '_', 'a.b.c', '0', longest]) {
          await bucket.put(key, bytes(key));
          expect((await bucket.get(key))?.value).toEqual(bytes(key));
          expect(keysOf(await bucket.list(key))).toEqual([key]);
          expect(await bucket.delete(key)).toBeGreaterThan(0);
        }
      });

      it('refuses every other key', async () => {
        const bad = ['', '.', 'a.', '.a', 'a..b', 'a b', 'a/b', 'a*', '>', 'ä', 'a\n', 'a\0'];
        for (const key of [...bad, `${longest}k`]) {
          expect(await codeOf(bucket.get(key))).toBe('ERR_STORE_KEY');
          expect(await codeOf(bucket.put(key, bytes('1')))).toBe('ERR_STORE_KEY');
          expect(await codeOf(bucket.delete(key))).toBe('ERR_STORE_KEY');
        }
        expect(await bucket.list('')).toEqual({ records: [], revision: 0 });
      });

      it('refuses prefixes that no key can have', async () => {
        for (const prefix of ['*', 'a b', 'ä', `${longest}k`]) {
          expect(await codeOf(bucket.list(prefix))).toBe('ERR_STORE_KEY');
          expect(() => bucket.watch(prefix, 0, AbortSignal.abort())).toThrow(/the prefix/u);
        }
      });

      it('scans what it lists, part by part', async () => {
        const value = new Uint8Array(100_000).fill(1);
        for (let i = 0; i < 30; i++) await bucket.put(`k${i}`, value);
        await bucket.delete('k7');
        const parts: (readonly StoredRecord[])[] = [];
        const revision = await bucket.scan('k', (some) => void parts.push(some));
        expect({ records: parts.flat(), revision }).toEqual(await bucket.list('k'));
        expect(await bucket.scan('none', (some) => void parts.push(some))).toBe(revision);
        expect(parts.flat()).toHaveLength(29);
      });

      it('ends a scan with what its taker throws', async () => {
        const value = new Uint8Array(900_000);
        for (const key of ['a', 'b', 'c', 'd']) await bucket.put(key, value);
        let calls = 0;
        const scan = bucket.scan('', () => {
          calls++;
          throw new Error('no more');
        });
        await expect(scan).rejects.toThrow('no more');
        expect(calls).toBe(1);
      });

      it('keeps every byte', async () => {
        const all = Uint8Array.from({ length: 256 }, (_, i) => i);
        await bucket.put('all', all);
        await bucket.put('none', new Uint8Array());
        expect((await bucket.get('all'))?.value).toEqual(all);
        expect((await bucket.get('none'))?.value).toEqual(new Uint8Array());
        const { records } = await bucket.list('');
        expect(records.map(({ value }) => new Uint8Array(value))).toEqual([all, new Uint8Array()]);
      });

      it('takes a value of the greatest size and no more', async () => {
        const big = new Uint8Array(storeLimits.maxValueBytes).fill(7);
        await bucket.put('big', big);
        expect((await bucket.get('big'))?.value).toEqual(big);
        const bigger = new Uint8Array(storeLimits.maxValueBytes + 1);
        expect(await codeOf(bucket.put('bigger', bigger))).toBe('ERR_STORE_VALUE_TOO_LARGE');
        expect(await bucket.get('bigger')).toBeUndefined();
      });

      it('does not see what the caller does to the bytes afterwards', async () => {
        const value = bytes('before');
        const written = bucket.put('a', value);
        value.fill(0);
        await written;
        expect((await bucket.get('a'))?.value).toEqual(bytes('before'));
      });
    });

    describe('list', () => {
      it('sorts by key and takes those with the prefix', async () => {
        for (const key of ['b', 'a.2', 'a', 'a.10', 'ab', 'A', 'a-b'])
          await bucket.put(key, bytes(key));
        await bucket.delete('b');
        expect(keysOf(await bucket.list(''))).toEqual(['A', 'a', 'a-b', 'a.10', 'a.2', 'ab']);
        expect(keysOf(await bucket.list('a.'))).toEqual(['a.10', 'a.2']);
        expect(keysOf(await bucket.list('a'))).toEqual(['a', 'a-b', 'a.10', 'a.2', 'ab']);
        expect(keysOf(await bucket.list('z'))).toEqual([]);
      });

      it('tells the revision of the bucket, whatever the prefix', async () => {
        await bucket.put('a', bytes('1'));
        const last = await bucket.put('b', bytes('1'));
        expect((await bucket.list('a')).revision).toBe(last);
        const deleted = await bucket.delete('b');
        expect((await bucket.list('a')).revision).toBe(deleted);
      });

      it('holds thousands of keys', async () => {
        const names = Array.from({ length: 5000 }, (_, i) => `k${String(i).padStart(5, '0')}`);
        await Promise.all(names.map((key) => bucket.put(key, bytes(key))));
        const { records, revision } = await bucket.list('');
        expect(records.map(({ key }) => key)).toEqual(names);
        expect(records.every(({ key, value }) => text(value) === key)).toBe(true);
        expect(revision).toBe(Math.max(...records.map((record) => record.revision)));
        const reopened = (await fixture.reopen?.())?.bucket('entries') ?? bucket;
        const changes = await take(reopened, '', 0, 5000);
        expect(changes.map(({ key }) => key).sort()).toEqual(names);
        expect(await reopened.list('')).toEqual({ records, revision });
      });
    });

    describe('watch', () => {
      it('hands on changes as they come, in order', async () => {
        const events = take(bucket, '', 0, 4);
        await bucket.put('a', bytes('1'));
        await bucket.put('b', bytes('2'));
        await bucket.delete('a');
        await bucket.put('b', bytes('3'));
        expect(simplify(await events)).toEqual(['a=1 @1', 'b=2 @2', 'a deleted @3', 'b=3 @4']);
      });

      it('replays what changed after a revision', async () => {
        const from = await bucket.put('a', bytes('1'));
        await bucket.put('b', bytes('2'));
        await bucket.put('c', bytes('3'));
        await bucket.delete('a');
        expect(simplify(await take(bucket, '', from, 3))).toEqual([
          'b=2 @2',
          'c=3 @3',
          'a deleted @4',
        ]);
      });

      it('takes the keys with the prefix alone', async () => {
        await bucket.put('a.1', bytes('1'));
        await bucket.put('b.1', bytes('2'));
        const events = take(bucket, 'a.', 0, 3);
        await bucket.put('b.2', bytes('3'));
        await bucket.put('a.2', bytes('4'));
        await bucket.delete('b.1');
        await bucket.delete('a.1');
        expect(simplify(await events)).toEqual(['a.1=1 @1', 'a.2=4 @4', 'a.1 deleted @6']);
      });

      it('serves many watchers alike', async () => {
        const watchers = Array.from({ length: 20 }, () => take(bucket, '', 0, 50));
        for (let i = 0; i < 50; i++) await bucket.put(`k${i}`, bytes(String(i)));
        const seen = await Promise.all(watchers);
        for (const events of seen) expect(events).toEqual(seen[0]);
      });

      it('follows a list without a gap or a double, whoever writes meanwhile', async () => {
        const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
        const writers = keys.map(async (key, i) => {
          for (let n = 0; n < 30; n++) {
            if ((n + i) % 7 === 6) await bucket.delete(key);
            else await bucket.put(key, bytes(`${n}`));
          }
        });
        await bucket.get('k0');
        const views = await Promise.all(
          Array.from({ length: 5 }, async () => {
            const snapshot = await bucket.list('k');
            return { snapshot, watch: replay(bucket, snapshot, 'k') };
          }),
        );
        await Promise.all(writers);
        const end = await bucket.put('kend', bytes('end'));
        const { records } = await bucket.list('k');
        for (const { watch } of views) {
          const view = await watch(end);
          expect(sorted(view)).toEqual(records.map(({ key, value }) => [key, text(value)]));
        }
      });

      it('gives a watcher that was far behind the latest of each key, in order', async () => {
        const iterator = bucket.watch('', 0, new AbortController().signal)[Symbol.asyncIterator]();
        await bucket.put('first', bytes('1'));
        expect((await iterator.next()).value).toMatchObject({ key: 'first' });
        for (let round = 0; round < 30; round++) {
          await Promise.all(
            Array.from({ length: 100 }, (_, i) => bucket.put(`k${i}`, bytes(`${round}`))),
          );
        }
        const end = await bucket.put('end', bytes('1'));
        const latest = new Map<string, string>();
        let last = 1;
        while (last < end) {
          const { value } = await iterator.next();
          expect(value?.revision).toBeGreaterThan(last);
          last = value?.revision ?? end;
          if (value?.type === 'put') latest.set(value.key, text(value.value));
        }
        expect(latest.size).toBe(101);
        expect([...latest].every(([key, value]) => value === (key === 'end' ? '1' : '29'))).toBe(
          true,
        );
      });

      it('ends normally when aborted, before, between and while it waits', async () => {
        await bucket.put('a', bytes('1'));
        await bucket.put('b', bytes('1'));
        expect(await collect(bucket, AbortSignal.abort())).toEqual([]);

        const between = new AbortController();
        expect(await collect(bucket, between.signal, () => between.abort())).toHaveLength(1);

        const waiting = new AbortController();
        const seen = Promise.withResolvers<void>();
        let left = 2;
        const events = collect(bucket, waiting.signal, () => {
          left -= 1;
          if (left === 0) seen.resolve();
        });
        await seen.promise;
        await settle();
        waiting.abort();
        expect(await events).toHaveLength(2);
      });

      it('leaves nothing on the signal', async () => {
        const controller = new AbortController();
        const events = collect(bucket, controller.signal);
        for (let i = 0; i < 20; i++) {
          await bucket.put('a', bytes(`${i}`));
          await settle();
          expect(getEventListeners(controller.signal, 'abort').length).toBeLessThanOrEqual(1);
        }
        controller.abort();
        await events;
        expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
      });

      it('refuses more watchers than it can bear', async () => {
        const controller = new AbortController();
        const all = Array.from({ length: storeLimits.maxWatchersPerBucket }, () =>
          collect(bucket, controller.signal),
        );
        expect(await codeOf(take(bucket, '', 0, 1))).toBe('ERR_STORE_BUSY');
        const other = take(fixture.store.bucket('agents'), '', 0, 1);
        await fixture.store.bucket('agents').put('a', bytes('1'));
        await other;
        controller.abort();
        await Promise.all(all);
        await bucket.put('a', bytes('1'));
        expect(await take(bucket, '', 0, 1)).toHaveLength(1);
      });
    });

    describe('delete markers', () => {
      const { deleteMarkerMs } = storeLimits;

      it('are replayed for 24 hours', async () => {
        const from = await bucket.put('a', bytes('1'));
        await bucket.delete('a');
        fixture.clock.advance(deleteMarkerMs - 1);
        await bucket.put('b', bytes('2'));
        expect(simplify(await take(bucket, '', from, 2))).toEqual(['a deleted @2', 'b=2 @3']);
      });

      it('are then forgotten, and a watch that needs them is told so', async () => {
        const from = await bucket.put('a', bytes('1'));
        const deleted = await bucket.delete('a');
        await bucket.put('b', bytes('2'));
        fixture.clock.advance(deleteMarkerMs);
        const last = await bucket.put('c', bytes('3'));
        await evict(bucket, last);
        expect(await codeOf(take(bucket, '', from, 1))).toBe('ERR_STORE_COMPACTED');
        expect(await codeOf(take(bucket, 'b', 0, 1))).toBe('ERR_STORE_COMPACTED');
        expect(simplify(await take(bucket, '', deleted ?? 0, 2))).toEqual(['b=2 @3', 'c=3 @4']);
        const { revision } = await bucket.list('');
        const next = take(bucket, '', revision, 1);
        await bucket.put('d', bytes('4'));
        expect((await next)[0]).toMatchObject({ key: 'd' });
      });

      it('are kept no longer when the key is back', async () => {
        const from = await bucket.put('a', bytes('1'));
        await bucket.delete('a');
        await bucket.put('a', bytes('2'), 0);
        fixture.clock.advance(deleteMarkerMs);
        const last = await bucket.put('b', bytes('3'));
        await evict(bucket, last);
        expect(simplify(await take(bucket, '', from, 2))).toEqual(['a=2 @3', 'b=3 @4']);
      });

      it('a forgotten delete does not set revisions back', async () => {
        await bucket.put('a', bytes('1'));
        const deleted = (await bucket.delete('a')) ?? 0;
        fixture.clock.advance(deleteMarkerMs);
        const revision = await bucket.put('a', bytes('2'), 0);
        expect(revision).toBeGreaterThan(deleted);
      });

      it('a watch from a revision the bucket has not reached is refused', async () => {
        const revision = await bucket.put('a', bytes('1'));
        expect(await codeOf(take(bucket, '', revision + 1, 1))).toBe('ERR_STORE_COMPACTED');
        expect(await codeOf(take(fixture.store.bucket('agents'), '', 1, 1))).toBe(
          'ERR_STORE_COMPACTED',
        );
        expect(await codeOf(take(bucket, '', -1, 1))).toBe('ERR_STORE_COMPACTED');
        expect(await codeOf(take(bucket, '', Number.NaN, 1))).toBe('ERR_STORE_COMPACTED');
      });
    });

    describe('close', () => {
      it('ends every watch with an error', async () => {
        const events = take(bucket, '', 0, 1);
        await settle();
        const ended = codeOf(events);
        await fixture.store.close();
        expect(await ended).toBe('ERR_STORE_UNAVAILABLE');
        expect(await codeOf(take(bucket, '', 0, 1))).toBe('ERR_STORE_UNAVAILABLE');
      });

      it('performs what was asked before and refuses what comes after', async () => {
        const before = Array.from({ length: 100 }, (_, i) => bucket.put(`k${i}`, bytes('1')));
        const closed = fixture.store.close();
        const after = bucket.put('late', bytes('1'));
        expect(await codeOf(after)).toBe('ERR_STORE_UNAVAILABLE');
        expect(await Promise.all(before)).toHaveLength(100);
        await closed;
        await fixture.store.close();
        expect(await codeOf(bucket.get('k0'))).toBe('ERR_STORE_UNAVAILABLE');
        expect(await codeOf(bucket.list(''))).toBe('ERR_STORE_UNAVAILABLE');
        expect(await codeOf(bucket.delete('k0'))).toBe('ERR_STORE_UNAVAILABLE');
      });
    });

    describeStoreModel(create);
  });
}

/** Makes the recent changes that a store holds in memory go past, so that a watch reads the records. */
async function evict(bucket: Bucket, expectedRevision: number): Promise<void> {
  const big = new Uint8Array(storeLimits.maxValueBytes);
  const { revision } = await bucket.list('');
  expect(revision).toBe(expectedRevision);
  let last = Number.POSITIVE_INFINITY;
  const fill = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await bucket.put('zz', big);
    last = await bucket.put('zz', big);
    await bucket.put('zz', new Uint8Array());
  };
  // What a write resolves with may come to the watchers later.
  const filled = fill();
  for await (const event of bucket.watch('zz', revision, new AbortController().signal)) {
    if (event.revision > last) break;
  }
  await filled;
}

/** The first `count` changes. */
async function take(
  bucket: Bucket,
  prefix: string,
  from: number,
  count: number,
): Promise<StoreEvent[]> {
  const events: StoreEvent[] = [];
  const controller = new AbortController();
  for await (const event of bucket.watch(prefix, from, controller.signal)) {
    events.push(event);
    if (events.length === count) break;
  }
  return events;
}

async function collect(
  bucket: Bucket,
  signal: AbortSignal,
  onEvent: () => void = () => {},
): Promise<StoreEvent[]> {
  const events: StoreEvent[] = [];
  for await (const event of bucket.watch('', 0, signal)) {
    events.push(event);
    onEvent();
  }
  return events;
}

/** Starts a watch from the snapshot; the result gives the view once revision `end` has come. */
function replay(
  bucket: Bucket,
  { records, revision }: StoreSnapshot,
  prefix: string,
): (end: number) => Promise<Map<string, string>> {
  const view = new Map(records.map(({ key, value }) => [key, text(value)]));
  const events = bucket.watch(prefix, revision, new AbortController().signal);
  return async (end) => {
    let last = revision;
    for await (const event of events) {
      expect(event.revision).toBeGreaterThan(last);
      last = event.revision;
      if (event.type === 'put') view.set(event.key, text(event.value));
      else view.delete(event.key);
      if (last === end) break;
    }
    return view;
  };
}

/** The code with which a promise was rejected. */
async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => 'fulfilled',
    (error: unknown) => (error instanceof TrustplaneError ? error.code : error),
  );
}

function simplify(events: readonly StoreEvent[]): string[] {
  return events.map((event) =>
    event.type === 'put'
      ? `${event.key}=${text(event.value)} @${event.revision}`
      : `${event.key} deleted @${event.revision}`,
  );
}

function sorted(view: ReadonlyMap<string, string>): [string, string][] {
  return [...view].sort(([a], [b]) => (a < b ? -1 : 1));
}

function keysOf(snapshot: StoreSnapshot): string[] {
  return snapshot.records.map(({ key }) => key);
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text));
}

function text(value: Uint8Array): string {
  return Buffer.from(value).toString();
}
