import { describe, expect, it } from 'vitest';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { createSvidPlane, fakeProcess } from '../../test/fakes/svid-plane.ts';
import { generateP256KeyPair, SpiffeId } from '../spiffe/index.ts';
import type { RestoredSvid } from './restored-svid.ts';

const MINUTE_MS = 60_000;

/** A plane that served one workload, and is no more. */
async function servedBefore() {
  const before = createSvidPlane();
  before.entries.put(fakeEntry('web'));
  const listener = await before.attach(fakeProcess());
  before.source.close();
  return { before, identity: listener.last?.identities[0] };
}

describe('an SVID of the last run', () => {
  it('is served at once, also while no issuer answers, and not issued again', async () => {
    const { before, identity } = await servedBefore();
    before.issuer.failure = new Error('no server');
    const after = createSvidPlane({ after: before, isComplete: false });
    const listener = await after.attach(fakeProcess());
    expect(listener.last?.identities[0]).toEqual(identity);
    await after.clock.advanceAsync(20 * MINUTE_MS);
    after.entries.complete();
    await after.settle();
    expect(listener.updates).toHaveLength(1);
    expect(after.issuer.calls).toEqual([1]);
  });

  it('is renewed at its own time', async () => {
    const { before, identity } = await servedBefore();
    await before.clock.advanceAsync(20 * MINUTE_MS);
    const after = createSvidPlane({ after: before });
    const listener = await after.attach(fakeProcess());
    await after.clock.advanceAsync(9 * MINUTE_MS);
    expect(listener.last?.identities[0]).toEqual(identity);
    await after.clock.advanceAsync(2 * MINUTE_MS);
    expect(after.issuer.issued).toBe(2);
    expect(listener.last?.identities[0]).not.toEqual(identity);
  });

  it('is served when half of its life is over, and renewed as soon as an issuer answers', async () => {
    const { before, identity } = await servedBefore();
    before.issuer.failure = new Error('no server');
    await before.clock.advanceAsync(50 * MINUTE_MS);
    const after = createSvidPlane({ after: before, isComplete: false });
    const listener = await after.attach(fakeProcess());
    expect(listener.last?.identities[0]).toEqual(identity);
    await after.clock.advanceAsync(1);
    after.issuer.failure = undefined;
    after.entries.complete();
    await after.settle();
    expect(listener.updates).toHaveLength(2);
    expect(after.issuer.issued).toBe(2);
  });

  it('is served until its replacement is there when what it was made from has changed', async () => {
    const { before, identity } = await servedBefore();
    const after = createSvidPlane({ after: before });
    after.entries.put(fakeEntry('web', { dnsNames: ['web.test'] }));
    const listener = await after.attach(fakeProcess());
    expect(listener.updates[0]?.identities[0]?.certificateChain).toEqual(
      identity?.certificateChain,
    );
    expect(listener.updates).toHaveLength(2);
    expect(after.issuer.issued).toBe(2);
  });

  it.each<[string, (svid: RestoredSvid) => RestoredSvid | undefined]>([
    ['with another key', (svid) => ({ ...svid, privateKey: generateP256KeyPair().privateKey })],
    ['with a damaged key', (svid) => ({ ...svid, privateKey: svid.privateKey.subarray(1) })],
    ['with a damaged leaf', (svid) => ({ ...svid, certificateChain: [Buffer.from('x')] })],
    ['without a leaf', (svid) => ({ ...svid, certificateChain: [] })],
    ['of another entry', (svid) => ({ ...svid, entryId: 'db' })],
  ])('%s is dropped, and replaced', async (_, tamper) => {
    const { before } = await servedBefore();
    const restored = [...before.kept.values()].flatMap((svid) => tamper(svid) ?? []);
    before.entries.put(fakeEntry('db', { selectors: ['unix:uid:7'] }));
    const after = createSvidPlane({ after: before, restored });
    const listeners = [
      await after.attach(fakeProcess()),
      await after.attach(fakeProcess('unix:uid:7')),
    ];
    expect(listeners.map(({ paths }) => paths)).toEqual([['/web'], ['/db']]);
    expect(after.issuer.issued).toBe(3);
    expect(after.kept.get('web')?.certificateChain).toEqual(
      listeners[0]?.last?.identities[0]?.certificateChain,
    );
  });

  it.each(['expired', 'revoked', 'below an authority that is gone'])(
    'that is %s is neither served nor kept',
    async (why) => {
      const { before } = await servedBefore();
      if (why === 'expired') before.clock.jump(before.clock.now() + 61 * MINUTE_MS);
      if (why === 'revoked') {
        before.revocations.revokeId(SpiffeId.parse('spiffe://a.test/web'), before.clock.now());
      }
      if (why.startsWith('below')) {
        before.issuer.prepareAuthority();
        before.issuer.revoke(0);
        before.trust.set(before.issuer.bundle());
      }
      before.issuer.failure = new Error('no server');
      const after = createSvidPlane({ after: before, isComplete: false });
      const listener = await after.attach(fakeProcess());
      expect(listener.updates).toEqual([]);
      expect(after.kept.size).toBe(0);
    },
  );

  it('is kept for a workload that comes later, until the server says that the entry is gone', async () => {
    const { before } = await servedBefore();
    const after = createSvidPlane({ after: before, isComplete: false });
    after.entries.delete('web');
    await after.settle();
    expect([...after.kept.keys()]).toEqual(['web']);
    after.entries.complete();
    await after.settle();
    expect([...after.kept.keys()]).toEqual([]);
  });

  it('goes at once when it is known from the beginning that its entry has gone', async () => {
    const { before } = await servedBefore();
    before.entries.delete('web');
    const after = createSvidPlane({ after: before });
    expect([...after.kept.keys()]).toEqual([]);
  });

  it('that nobody holds is kept and served as long as it is valid', async () => {
    const { before, identity } = await servedBefore();
    const after = createSvidPlane({ after: before });
    const first = fakeProcess();
    (await after.attach(first)).updates.length = 0;
    await after.clock.advanceAsync(1);
    after.source.close();
    expect([...after.kept.keys()]).toEqual(['web']);
    before.issuer.failure = new Error('no server');
    const again = createSvidPlane({ after });
    const attachment = again.source.attach(fakeProcess(), { onUpdate: () => {}, onGone: () => {} });
    await again.settle();
    attachment.close();
    await again.clock.advanceAsync(45 * MINUTE_MS);
    const late = await again.attach(fakeProcess());
    expect(late.last?.identities[0]).toEqual(identity);
    await again.clock.advanceAsync(16 * MINUTE_MS);
    expect(again.kept.size).toBe(0);
  });
});
