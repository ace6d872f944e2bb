import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { guardIssuance } from '../../src/api/issuance-guard.ts';
import { createRevokingEntries, type EntryStore } from '../../src/api/revoking-entries.ts';
import { EntryRegistry } from '../../src/entries/entry-registry.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import { RevocationRegistry } from '../../src/revocations/index.ts';
import { SpiffeId, TrustplaneError } from '../../src/spiffe/index.ts';
import type { Bucket, Store } from '../../src/store/index.ts';
import { createMemoryStore } from '../../src/store/memory-store.ts';
import { FakeClock, settle } from '../fakes/fake-clock.ts';
import { patchedBucket } from '../fakes/open-registry.ts';
import { testDraft, testTrustDomain } from '../fakes/test-entries.ts';

const HOUR_MS = 3_600_000;
const paths = ['a', 'b', 'c'] as const;
const agentId = SpiffeId.parse('spiffe://a.test/spire/agent/test/host');

interface Svid {
  readonly spiffeId: SpiffeId;
  readonly entryId: string;
  readonly issuedAt: number;
}

/** A server, the store it lies on, and all SVIDs it ever issued. */
class World {
  readonly clock = new FakeClock();
  readonly store: Store = createMemoryStore({ clock: this.clock });
  readonly issued: Svid[] = [];
  /** Operations of the store until the process dies. */
  fuse = Number.POSITIVE_INFINITY;
  entries: EntryStore | undefined;
  revocations: RevocationRegistry | undefined;
  #registry: EntryRegistry | undefined;

  async start(): Promise<void> {
    this.fuse = Number.POSITIVE_INFINITY;
    const common = { clock: this.clock, log: silentLog, metrics: createMetrics() };
    const revocations = await RevocationRegistry.load({
      ...common,
      bucket: this.#mortal(this.store.bucket('revocations')),
    });
    const registry = await EntryRegistry.load({
      ...common,
      bucket: this.#mortal(this.store.bucket('entries')),
      trustDomain: testTrustDomain,
      randomBytes: (size) => Buffer.alloc(size, ++serial),
    });
    this.#registry = registry;
    this.revocations = revocations;
    const lastSvidEnd = () => this.clock.now() + HOUR_MS;
    this.entries = createRevokingEntries({
      ...common,
      entries: registry,
      revocations,
      lastSvidEnd,
      latestIssue: () => this.clock.now(),
    });
  }

  async stop(): Promise<void> {
    this.fuse = 0;
    await settle();
    await this.#registry?.close();
    await this.revocations?.close();
    await settle();
  }

  /** Everybody asks for everything. */
  issueAll(): void {
    const { entries, revocations } = this;
    if (entries === undefined || revocations === undefined) return;
    const now = () => this.clock.now();
    const guarded = guardIssuance({
      entriesOf: () => entries,
      entryOf: (id) => entries.get(id),
      revocations,
      instant: now,
    })(agentId);
    for (const { id: entryId } of entries.list({}, { pageSize: 0, pageToken: '' }).entries) {
      try {
        const { spiffeId } = guarded?.get(entryId) ?? {};
        if (spiffeId !== undefined) this.issued.push({ spiffeId, entryId, issuedAt: now() });
      } catch (error) {
        if (!(error instanceof TrustplaneError) || error.code !== 'ERR_SVID_REVOKED') throw error;
      }
    }
  }

  isRefused({ spiffeId, issuedAt, entryId }: Svid): boolean {
    return this.revocations?.find({ spiffeId, issuedAt, entryId }) !== undefined;
  }

  /** Issues around each operation, and dies when the fuse is burnt. */
  #mortal(bucket: Bucket): Bucket {
    const around = async <T>(work: () => Promise<T>): Promise<T> => {
      this.issueAll();
      if (this.fuse-- <= 0) return await new Promise<T>(() => {});
      const result = await work();
      this.issueAll();
      if (this.fuse-- <= 0) return await new Promise<T>(() => {});
      this.clock.advance(1);
      return result;
    };
    return patchedBucket(bucket, {
      put: (key, value, expected) => around(() => bucket.put(key, value, expected)),
      delete: (key, expected) => around(() => bucket.delete(key, expected)),
    });
  }
}

let serial = 0;

type Act = (world: World) => Promise<unknown>;

const nth = fc.nat(5);
const path = fc.constantFrom(...paths);
const idAt = (world: World, n: number): string =>
  world.entries?.list({}, { pageSize: 0, pageToken: '' }).entries[n]?.id ?? 'none';

/** What administrators do; several at once. */
const act: fc.Arbitrary<readonly [string, Act]> = fc.oneof(
  fc
    .tuple(path, fc.nat(2))
    .map(([to, uid]) =>
      named(`create ${to} ${uid}`, async ({ entries }) =>
        entries?.create(testDraft(to, [`unix:uid:${uid}`])),
      ),
    ),
  nth.map((n) => named(`delete ${n}`, async (world) => world.entries?.delete(idAt(world, n)))),
  fc
    .tuple(nth, path)
    .map(([n, to]) =>
      named(`move ${n} ${to}`, async (world) =>
        world.entries?.update(idAt(world, n), { spiffeId: `spiffe://a.test/${to}` }),
      ),
    ),
  nth.map((n) =>
    named(`touch ${n}`, async (world) =>
      world.entries?.update(idAt(world, n), { hint: String(n) }),
    ),
  ),
);

interface Round {
  readonly acts: readonly (readonly [string, Act])[];
  /** Operations of the store after which the server dies in this round. */
  readonly fuse: number | undefined;
  readonly restMs: number;
}

const round: fc.Arbitrary<Round> = fc.record({
  acts: fc.array(act, { maxLength: 4 }),
  fuse: fc.option(fc.nat(12), { nil: undefined, freq: 4 }),
  restMs: fc.constantFrom(0, 1, 1_000, HOUR_MS),
});

function named(name: string, run: Act): readonly [string, Act] {
  return [name, run];
}

async function play(world: World, { acts, fuse, restMs }: Round): Promise<void> {
  world.fuse = fuse ?? Number.POSITIVE_INFINITY;
  world.issueAll();
  // What is refused is refused.
  const running = acts.map(([, run]) => run(world).catch(() => {}));
  if (fuse === undefined) {
    await Promise.all(running);
  } else {
    for (let turn = 0; turn < 20; turn++) await settle();
    await world.stop();
    await world.start();
  }
  await world.clock.advanceAsync(restMs);
}

describe('entries whose last one takes its SVIDs along', () => {
  it('leave no SVID of an ID without entries unrevoked, and let every entry have a good one, whatever happens', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(round, { maxLength: 12 }), async (rounds) => {
        const world = new World();
        await world.start();
        for (const each of rounds) {
          await play(world, each);
          expect(faultsOf(world)).toEqual([]);
        }
        await world.stop();
      }),
      { numRuns: 150 },
    );
  });
});

/** What must not be. */
function faultsOf(world: World): readonly string[] {
  const now = world.clock.now();
  const good = world.issued.filter(
    (svid) => svid.issuedAt + HOUR_MS > now && !world.isRefused(svid),
  );
  const orphans = good.filter(({ spiffeId }) => world.entries?.count({ spiffeId }) === 0);
  world.clock.advance(2);
  const before = world.issued.length;
  world.issueAll();
  const fresh = world.issued.slice(before);
  const useless = fresh.filter((svid) => world.isRefused(svid));
  return [
    ...orphans.map(({ spiffeId }) => `${spiffeId.path} is not revoked`),
    ...useless.map(({ spiffeId }) => `${spiffeId.path} is revoked from the beginning`),
    ...(fresh.length === world.entries?.count() ? [] : ['an entry has no SVID']),
  ];
}
