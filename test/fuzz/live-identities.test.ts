import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  issueInstant,
  parseX509Svid,
  SpiffeId,
  TrustDomain,
  verifyX509Svid,
} from '../../src/spiffe/index.ts';
import { fakeEntry } from '../fakes/fake-entitlements.ts';
import { FakeSvidIssuer } from '../fakes/fake-svid-issuer.ts';
import {
  createSvidPlane,
  type FakeProcess,
  fakeProcess,
  RecordingListener,
  type SvidPlane,
} from '../fakes/svid-plane.ts';

const uids = ['unix:uid:1', 'unix:uid:2', 'unix:uid:3'];

interface Stream {
  readonly process: FakeProcess;
  readonly listener: RecordingListener;
  readonly close: () => void;
}

/** The plane, what is attached to it, and whether its issuer is well. */
interface World extends SvidPlane {
  streams: Stream[];
  readonly foreign: FakeSvidIssuer;
}

function attach(world: World, process: FakeProcess): Stream {
  const listener = new RecordingListener();
  const attachment = world.source.attach(process, listener);
  return { process, listener, close: () => attachment.close() };
}

/** The process dies and begins again with what it kept; its workloads come back. */
function restart(world: World, isComplete: boolean): void {
  world.source.close();
  Object.assign(world, createSvidPlane({ after: world, isComplete }));
  world.streams = world.streams.map(({ process }) => attach(world, process));
}

type Step = (world: World) => Promise<void> | void;

const index = fc.nat(5);
const uid = fc.constantFrom(...uids);
const ttl = fc.constantFrom(0, 5, 60);
const path = fc.constantFrom('a', 'b', 'c');

/** Everything that may happen, in any order. */
const step: fc.Arbitrary<readonly [string, Step]> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(index, uid, ttl, path).map(([i, uid, x509SvidTtlSeconds, path]) =>
      named(`put e${i} ${uid} ${x509SvidTtlSeconds} ${path}`, ({ entries }) => {
        const spiffeId = SpiffeId.parse(`spiffe://a.test/${path}`);
        const federatesWith = [TrustDomain.parse('b.test')];
        entries.put(
          fakeEntry(`e${i}`, { selectors: [uid], spiffeId, x509SvidTtlSeconds, federatesWith }),
        );
      }),
    ),
  },
  index.map((i) => named(`delete e${i}`, ({ entries }) => entries.delete(`e${i}`))),
  {
    weight: 2,
    arbitrary: uid.map((uid) =>
      named(`attach ${uid}`, (world) => {
        world.streams.push(attach(world, fakeProcess(uid)));
      }),
    ),
  },
  index.map((i) => named(`close ${i}`, ({ streams }) => streams.splice(i, 1)[0]?.close())),
  fc.tuple(index, uid).map(([i, uid]) =>
    named(`become ${i} ${uid}`, ({ streams }) => {
      const stream = streams[i];
      if (stream !== undefined) stream.process.selectors = [uid];
    }),
  ),
  fc.constant(
    named('fail', ({ issuer }) => {
      issuer.failure = new Error('down');
    }),
  ),
  fc.constant(
    named('recover', ({ issuer }) => {
      issuer.failure = undefined;
    }),
  ),
  fc.constant(
    named('rotate', ({ issuer, trust, foreign }) => {
      issuer.prepareAuthority()();
      trust.set(issuer.bundle(), foreign.bundle());
    }),
  ),
  fc.constant(named('sign before publishing', ({ issuer }) => issuer.prepareAuthority()())),
  fc.constant(
    named('revoke the oldest', ({ issuer, trust }) => {
      issuer.prepareAuthority()();
      issuer.revoke(0);
      trust.set(issuer.bundle());
    }),
  ),
  fc
    .boolean()
    .map((isComplete) => named(`restart ${isComplete}`, (world) => restart(world, isComplete))),
  fc.constant(named('complete', ({ entries }) => entries.complete())),
  fc.tuple(path, fc.constantFrom(0, 40_000)).map(([path, ago]) =>
    named(`revoke ${path} ${ago}`, ({ revocations, clock }) => {
      revocations.revokeId(SpiffeId.parse(`spiffe://a.test/${path}`), clock.now() - ago);
    }),
  ),
  fc
    .constantFrom(1, 1_000, 3_000, 40_000, 1_900_000)
    .map((ms) => named(`advance ${ms}`, ({ clock }) => clock.advanceAsync(ms))),
  { weight: 3, arbitrary: fc.constant(named('settle', ({ settle }) => settle())) },
);

function named(name: string, run: Step): readonly [string, Step] {
  return [name, run];
}

describe('the live identity model', () => {
  it('shows each workload what it is entitled to and nothing else, whatever happens', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const plane = createSvidPlane();
        const foreign = new FakeSvidIssuer(
          plane.clock,
          TrustDomain.parse('b.test'),
          () => undefined,
        );
        const world: World = { ...plane, streams: [], foreign };
        for (const [, run] of steps) {
          await run(world);
          for (const { listener } of world.streams) checkLast(listener, world);
        }
        await checkSettled(world);
        expect(await leftOver(world)).toEqual({
          sessions: 0,
          sets: 0,
          wanted: 0,
          live: 0,
          timers: 0,
        });
      }),
      { numRuns: 300 },
    );
  });
});

/** True at every moment: leaves are valid below the bundle they came with, hints and IDs in order. */
function checkLast(listener: RecordingListener, { clock, entries }: World): void {
  const update = listener.updates.at(-1);
  const isToldOfNone = update?.identities.length === 0;
  expect(isToldOfNone && !entries.isComplete()).toBe(false);
  for (const identity of update?.identities ?? []) {
    const svid = parseX509Svid(identity.certificateChain);
    expect(svid.spiffeId.equals(identity.spiffeId)).toBe(true);
    const sentAt = Math.min(clock.now(), identity.expiresAt - 1);
    if (update !== undefined) verifyX509Svid(svid, update.bundle, sentAt);
  }
}

/** True once the issuer is well and time has passed: everybody has exactly what the entries say, unexpired. */
async function checkSettled(world: World): Promise<void> {
  world.issuer.failure = undefined;
  world.entries.complete();
  world.trust.set(world.issuer.bundle(), world.foreign.bundle());
  await world.clock.advanceAsync(90_000);
  world.entries.put(fakeEntry('poke', { selectors: uids.slice(0, 1) }));
  world.entries.put(fakeEntry('poke2', { selectors: uids.slice(1, 2) }));
  world.entries.put(fakeEntry('poke3', { selectors: uids.slice(2, 3) }));
  for (let i = 0; i < 3; i++) await world.settle();
  for (const { process, listener } of world.streams) {
    const matching = world.entries
      .all()
      .filter(({ selectors }) =>
        selectors.some((s) => process.selectors.includes(`${s.type}:${s.value}`)),
      );
    const update = listener.updates.at(-1);
    expect(listener.gone).toBeUndefined();
    expect(update?.identities.map(({ entryId }) => entryId)).toEqual(matching.map(({ id }) => id));
    expect(update?.bundle).toBe(world.trust.current().own);
    for (const { expiresAt, entryId, spiffeId, certificateChain } of update?.identities ?? []) {
      expect(expiresAt).toBeGreaterThan(world.clock.now());
      const issuedAt = issueInstant(parseX509Svid(certificateChain).leaf);
      expect(world.revocations.find({ spiffeId, issuedAt, entryId })).toBeUndefined();
    }
  }
}

/** What is held, counted and ticking after everybody has left. */
async function leftOver(world: World): Promise<Record<string, number>> {
  for (const { close } of world.streams) close();
  const sessions = await world.metric('trustplane_svid_sessions');
  const sets = await world.metric('trustplane_svid_selector_sets');
  const wanted = await world.metric('trustplane_svid_wanted_svids');
  world.source.close();
  const live = await world.metric('trustplane_svid_live_svids');
  return { sessions, sets, wanted, live, timers: world.clock.timers };
}
