import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { createSvidPlane, fakeProcess } from '../../test/fakes/svid-plane.ts';
import { SpiffeId, type WorkloadUpdate } from '../spiffe/index.ts';

const HOUR_MS = 3_600_000;

function serials(update: WorkloadUpdate | undefined): readonly string[] {
  return (update?.identities ?? []).map(({ certificateChain }) => {
    const [leaf] = certificateChain;
    if (leaf === undefined) throw new Error('an empty chain');
    return new X509Certificate(leaf).serialNumber;
  });
}

describe('renewal', () => {
  it('rotates for hours without a gap, with a new key each time (SDS-20)', async () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const plane = createSvidPlane({ random });
    plane.entries.put(fakeEntry('web'), fakeEntry('fast', { x509SvidTtlSeconds: 60 }));
    const listener = await plane.attach(fakeProcess());
    const seen = new Set<string>();
    for (let minute = 0; minute < 6 * 60; minute++) {
      await plane.clock.advanceAsync(60_000);
      const identities = listener.last?.identities ?? [];
      expect(identities).toHaveLength(2);
      for (const { expiresAt, privateKey, certificateChain } of identities) {
        expect(expiresAt).toBeGreaterThan(plane.clock.now());
        seen.add(Buffer.from(privateKey).toString('hex'));
        expect(certificateChain).toHaveLength(1);
      }
    }
    expect(seen.size).toBeGreaterThan(6 * 60 * 0.9);
    const slow = (6 * HOUR_MS) / (HOUR_MS / 2);
    const fast = (6 * HOUR_MS) / 30_000;
    expect(plane.issuer.issued).toBeGreaterThan((slow + fast) * 0.9);
    expect(plane.issuer.issued).toBeLessThan((slow + fast) * 1.12);
    expect(await plane.metric('trustplane_svid_expired_total')).toBe(0);
  });

  it('shows the age of the oldest SVID in use, and what is left of the one that expires first', async () => {
    const plane = createSvidPlane();
    expect(await plane.metric('trustplane_svid_oldest_age_seconds')).toBeNaN();
    plane.entries.put(fakeEntry('web'), fakeEntry('fast', { x509SvidTtlSeconds: 600 }));
    await plane.attach(fakeProcess());
    await plane.clock.advanceAsync(100_000);
    expect(await plane.metric('trustplane_svid_oldest_age_seconds')).toBe(100);
    expect(await plane.metric('trustplane_svid_least_left_seconds')).toBe(500);
  });

  it.each([3, 5])('keeps up with lives of %i s', async (x509SvidTtlSeconds) => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web', { x509SvidTtlSeconds }));
    const listener = await plane.attach(fakeProcess());
    for (let step = 0; step < 600; step++) {
      await plane.clock.advanceAsync(100);
      expect(listener.last?.identities[0]?.expiresAt).toBeGreaterThan(plane.clock.now());
    }
    expect(listener.updates.length).toBeGreaterThan(60 / x509SvidTtlSeconds);
  });

  it('keeps the last good one while the issuer fails, drops it when it expires, and recovers (SDS-20)', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const listener = await plane.attach(fakeProcess());
    plane.issuer.failure = new Error('the server is down');
    await plane.clock.advanceAsync(HOUR_MS - 1_000);
    expect(listener.updates).toHaveLength(1);
    expect(plane.source.health()).toMatchObject({
      isOk: false,
      failing: [{ entryId: 'web', error: 'the issuer failed: the server is down' }],
    });
    await plane.clock.advanceAsync(1_000);
    await plane.settle();
    expect(listener.paths).toEqual([]);
    expect(await plane.metric('trustplane_svid_expired_total')).toBe(1);
    plane.issuer.failure = undefined;
    await plane.clock.advanceAsync(40_000);
    await plane.settle();
    expect(listener.paths).toEqual(['/web']);
  });

  it('gives nobody an SVID that expired while its renewal hangs, and says so when that has failed (SDS-20)', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web', { x509SvidTtlSeconds: 4 }));
    const process = fakeProcess();
    const listener = await plane.attach(process);
    plane.issuer.hold();
    await plane.clock.advanceAsync(3_999);
    expect(listener.paths).toEqual(['/web']);
    await plane.clock.advanceAsync(1);
    await plane.settle();
    expect(listener.updates).toHaveLength(1);
    const late = await plane.attach(process);
    expect(late.updates).toEqual([]);
    await plane.clock.advanceAsync(10_000);
    await plane.settle();
    expect([listener.paths, late.paths]).toEqual([[], []]);
  });

  it('asks a failing issuer less and less often', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    plane.issuer.failure = new Error('down');
    await plane.attach(fakeProcess());
    await plane.clock.advanceAsync(10 * 60_000);
    expect(plane.issuer.calls.length).toBeLessThan(30);
    expect(plane.issuer.calls.length).toBeGreaterThan(20);
  });

  it('is not triggered faster by workloads that come and go while it fails', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    plane.issuer.failure = new Error('down');
    await plane.attach(fakeProcess());
    const calls = plane.issuer.calls.length;
    for (let i = 0; i < 50; i++) await plane.attach(fakeProcess());
    expect(plane.issuer.calls).toHaveLength(calls);
  });

  it('finds expired SVIDs within 5 s when the machine slept, and replaces them (F2)', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const listener = await plane.attach(fakeProcess());
    plane.clock.jump(plane.clock.now() + 30 * 86_400_000);
    await plane.clock.advanceAsync(5_000);
    await plane.settle();
    expect(listener.last?.identities[0]?.expiresAt).toBeGreaterThan(plane.clock.now());
  });

  it('replaces SVIDs from the future when the clock was set back', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const listener = await plane.attach(fakeProcess());
    plane.clock.jump(plane.clock.now() - 6 * HOUR_MS);
    await plane.clock.advanceAsync(5_000);
    await plane.settle();
    expect(listener.last?.identities[0]?.notBefore).toBeLessThan(plane.clock.now());
    expect(plane.issuer.issued).toBe(2);
  });

  it.each([
    ['for another key', 'another public key', 'key'],
    ['with another SPIFFE ID', 'was asked for; got', 'id'],
    ['that is garbage', 'certificate', 'garbage'],
    ['that has expired', 'expired', 'expired'],
  ])('refuses an SVID %s', async (_, message, kind) => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'), fakeEntry('other', { selectors: ['unix:uid:2'] }));
    const stranger = (await plane.attach(fakeProcess('unix:uid:2'))).last?.identities[0];
    const { bundle } = (await plane.attach(fakeProcess('unix:uid:3'))).last ?? {};
    expect(bundle).toBeDefined();
    plane.issuer.tamper = (result) => {
      if ('error' in result) return result;
      if (kind === 'garbage') return { ...result, certificateChain: [Buffer.from('x')] };
      if (kind === 'expired') {
        plane.clock.jump(plane.clock.now() + 2 * HOUR_MS);
        return result;
      }
      return { ...result, certificateChain: stranger?.certificateChain ?? [] };
    };
    if (kind === 'key') {
      plane.entries.put({ ...fakeEntry('web'), spiffeId: SpiffeId.parse('spiffe://a.test/other') });
    }
    const listener = await plane.attach(fakeProcess());
    expect(listener.paths).toEqual([]);
    expect(
      plane.source
        .health()
        .failing.map(({ error }) => error)
        .join(),
    ).toMatch(message);
  });
});

describe('authorities', () => {
  it('go out in the bundle before a leaf under them does', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web', { x509SvidTtlSeconds: 60 }));
    const listener = await plane.attach(fakeProcess());
    const activate = plane.issuer.prepareAuthority();
    activate();
    await plane.clock.advanceAsync(40_000);
    expect(plane.issuer.issued).toBeGreaterThan(1);
    expect(listener.updates).toHaveLength(1);
    plane.trust.set(plane.issuer.bundle());
    await plane.settle();
    expect(listener.updates).toHaveLength(2);
    expect(listener.last?.bundle.x509Authorities).toHaveLength(2);
    expect(serials(listener.last)).not.toEqual(serials(listener.updates[0]));
  });

  it('that are new are pushed at once, with the leaf as it was', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const listener = await plane.attach(fakeProcess());
    plane.issuer.prepareAuthority();
    plane.trust.set(plane.issuer.bundle());
    await plane.settle();
    expect(listener.last?.bundle.x509Authorities).toHaveLength(2);
    expect(listener.last?.identities[0]).toBe(listener.updates[0]?.identities[0]);
  });

  it('that are tainted have their SVIDs replaced at once, the old one served until then', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const listener = await plane.attach(fakeProcess());
    plane.issuer.prepareAuthority()();
    plane.issuer.taint(0);
    const release = plane.issuer.hold();
    plane.trust.set(plane.issuer.bundle());
    await plane.settle();
    expect(serials(listener.last)).toEqual(serials(listener.updates[0]));
    release();
    await plane.settle();
    expect(serials(listener.last)).not.toEqual(serials(listener.updates[0]));
    expect(listener.updates.every((update) => update.identities.length === 1)).toBe(true);
    await plane.clock.advanceAsync(60_000);
    expect(plane.issuer.issued).toBe(2);
  });

  it('that are tainted and still sign do not make a busy loop', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const listener = await plane.attach(fakeProcess());
    plane.issuer.taint(0);
    plane.trust.set(plane.issuer.bundle());
    await plane.clock.advanceAsync(60_000);
    expect(plane.issuer.issued).toBeLessThan(15);
    expect(listener.paths).toEqual(['/web']);
  });

  it('that are revoked take their leaf along, replaced in the same update', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const listener = await plane.attach(fakeProcess());
    plane.issuer.prepareAuthority()();
    plane.issuer.revoke(0);
    plane.trust.set(plane.issuer.bundle());
    await plane.settle();
    expect(listener.updates).toHaveLength(2);
    expect(listener.last?.bundle.x509Authorities).toHaveLength(1);
    expect(listener.paths).toEqual(['/web']);
    expect(serials(listener.last)).not.toEqual(serials(listener.updates[0]));
  });
});
