import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/spiffe/clock.ts';
import { TrustplaneError } from '../../src/spiffe/errors.ts';
import { type Bucket, type StoreEvent, storeLimits } from '../../src/store/index.ts';
import type { StoreFixture } from './store-fixture.ts';

const HOUR_MS = 60 * 60 * 1000;
const KEYS = ['a', 'a.1', 'a.2', 'b', 'b.1'];
const PREFIXES = ['', 'a', 'a.', 'b', 'c'];

/** What revision an operation expects the key at. */
type Expected = 'any' | 'absent' | 'current' | 'stale';

type Step =
  | { readonly type: 'writes'; readonly writes: readonly Write[] }
  | { readonly type: 'watch'; readonly prefix: string }
  | { readonly type: 'read'; readonly prefix: string }
  | { readonly type: 'wait'; readonly hours: number }
  | { readonly type: 'reopen' };

interface Write {
  readonly type: 'put' | 'delete';
  readonly key: string;
  readonly value: Uint8Array;
  readonly expected: Expected;
}

const expected = fc.constantFrom<Expected>('any', 'any', 'absent', 'current', 'stale');
const write = fc.record<Write>({
  type: fc.constantFrom('put', 'put', 'delete'),
  key: fc.constantFrom(...KEYS),
  value: fc.uint8Array({ maxLength: 8 }),
  expected,
});
const step = fc.oneof<fc.Arbitrary<Step>[]>(
  fc.record({
    type: fc.constant('writes'),
    writes: fc.array(write, { minLength: 1, maxLength: 8 }),
  }),
  fc.record({ type: fc.constant('watch'), prefix: fc.constantFrom(...PREFIXES) }),
  fc.record({ type: fc.constant('read'), prefix: fc.constantFrom(...PREFIXES) }),
  fc.record({ type: fc.constant('wait'), hours: fc.integer({ min: 1, max: 30 }) }),
  fc.constant({ type: 'reopen' }),
);

/** Random histories against a plain map, with watchers that must end up with the same view. */
export function describeStoreModel(create: () => Promise<StoreFixture>): void {
  describe('against a model', () => {
    it('does as a map does, and so does the view of every watcher', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          const fixture = await create();
          try {
            await runSteps(fixture, steps);
          } finally {
            await fixture.dispose();
          }
        }),
        { numRuns: 25 },
      );
      expect.hasAssertions();
    });
  });
}

async function runSteps(fixture: StoreFixture, steps: readonly Step[]): Promise<void> {
  let { store } = fixture;
  const model = new Model(fixture.clock);
  const views: View[] = [];
  for (const step of steps) {
    const bucket = store.bucket('policies');
    if (step.type === 'wait') fixture.clock.advance(step.hours * HOUR_MS);
    if (step.type === 'writes') await performWrites(bucket, model, step.writes);
    if (step.type === 'read') await expectSame(bucket, model, step.prefix);
    if (step.type === 'watch') views.push(await listView(bucket, model, step.prefix));
    if (step.type === 'reopen') store = (await fixture.reopen?.()) ?? store;
  }
  const bucket = store.bucket('policies');
  for (const view of views) await expectCaughtUp(bucket, model, view);
  await expectSame(bucket, model, '');
}

interface Change {
  readonly key: string;
  /** In hexadecimal digits; undefined: deleted. */
  readonly value: string | undefined;
  readonly at: number;
}

/** What the bucket holds and held. */
class Model {
  readonly records = new Map<string, { readonly value: string; readonly revision: number }>();
  readonly history = new Map<number, Change>();
  revision = 0;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  list(prefix: string): { key: string; value: string; revision: number }[] {
    return [...this.records]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, record]) => ({ key, ...record }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  change({ type, key, value }: Write, revision: number): void {
    const stored = type === 'put' ? hex(value) : undefined;
    this.revision = revision;
    this.history.set(revision, { key, value: stored, at: this.#clock.now() });
    if (stored === undefined) this.records.delete(key);
    else this.records.set(key, { value: stored, revision });
  }

  /** Whether the store may have forgotten a delete after `revision` by now. */
  mayHaveForgotten(revision: number): boolean {
    const limit = this.#clock.now() - storeLimits.deleteMarkerMs;
    return [...this.history].some(
      ([at, change]) => at > revision && change.value === undefined && change.at <= limit,
    );
  }
}

/** Issues all writes at once; they happen in the order in which they were issued. */
async function performWrites(
  bucket: Bucket,
  model: Model,
  writes: readonly Write[],
): Promise<void> {
  const issued = writes.map((write) => {
    const expected = revisionFor(write, model);
    return { write, expected, result: issue(bucket, write, expected) };
  });
  for (const { write, expected, result } of issued) {
    const current = model.records.get(write.key)?.revision ?? 0;
    if (expected !== undefined && expected !== current) {
      expect(await result).toBe('ERR_STORE_CONFLICT');
    } else if (write.type === 'delete' && current === 0) {
      expect(await result).toBeUndefined();
    } else {
      const revision = await result;
      expect(revision).toBeGreaterThan(model.revision);
      model.change(write, Number(revision));
    }
  }
}

/** The revision, or the code of the error. */
async function issue(
  bucket: Bucket,
  { type, key, value }: Write,
  expected: number | undefined,
): Promise<unknown> {
  const done = type === 'put' ? bucket.put(key, value, expected) : bucket.delete(key, expected);
  return await done.catch((error: unknown) =>
    error instanceof TrustplaneError ? error.code : error,
  );
}

function revisionFor({ expected, key }: Write, model: Model): number | undefined {
  if (expected === 'any') return undefined;
  const current = model.records.get(key)?.revision ?? 0;
  if (expected === 'stale') return current === 0 ? model.revision + 1000 : current - 1;
  return expected === 'absent' ? 0 : current;
}

async function expectSame(bucket: Bucket, model: Model, prefix: string): Promise<void> {
  const { records, revision } = await bucket.list(prefix);
  expect(revision).toBe(model.revision);
  expect(records.map((record) => ({ ...record, value: hex(record.value) }))).toEqual(
    model.list(prefix),
  );
  for (const key of KEYS) {
    const record = await bucket.get(key);
    expect(record && { value: hex(record.value), revision: record.revision }).toEqual(
      model.records.get(key),
    );
  }
}

/** What a list gave, to be brought up to date by a watch later. */
interface View {
  readonly prefix: string;
  readonly values: Map<string, string>;
  readonly revision: number;
}

async function listView(bucket: Bucket, model: Model, prefix: string): Promise<View> {
  const { records, revision } = await bucket.list(prefix);
  expect(revision).toBe(model.revision);
  return { prefix, revision, values: new Map(records.map(({ key, value }) => [key, hex(value)])) };
}

/** The view follows the watch to the model's state, or the watch rightly says that it cannot. */
async function expectCaughtUp(bucket: Bucket, model: Model, view: View): Promise<void> {
  const { prefix, revision, values } = view;
  const isMissing = ([at, { key }]: [number, Change]): boolean =>
    at > revision && key.startsWith(prefix);
  const end = [...model.history].findLast(isMissing)?.[0] ?? revision;
  let last = revision;
  try {
    if (end === revision) return;
    for await (const event of bucket.watch(prefix, revision, new AbortController().signal)) {
      expect(event.revision).toBeGreaterThan(last);
      expect(changeOf(event)).toEqual(without(model.history.get(event.revision)));
      last = event.revision;
      if (event.type === 'put') values.set(event.key, hex(event.value));
      else values.delete(event.key);
      if (last >= end) break;
    }
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_STORE_COMPACTED' });
    expect(model.mayHaveForgotten(revision)).toBe(true);
    return;
  }
  expect(last).toBe(end);
  const records = [...values].map(([key, value]) => ({ key, value }));
  expect(records.sort((a, b) => (a.key < b.key ? -1 : 1))).toEqual(
    model.list(prefix).map(({ key, value }) => ({ key, value })),
  );
}

function changeOf(event: StoreEvent): Omit<Change, 'at'> {
  return { key: event.key, value: event.type === 'put' ? hex(event.value) : undefined };
}

function without(change: Change | undefined): Omit<Change, 'at'> | undefined {
  return change && { key: change.key, value: change.value };
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex');
}
