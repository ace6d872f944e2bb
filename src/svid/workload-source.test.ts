import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { bundleOf } from '../../test/fakes/fake-svid-issuer.ts';
import { createSvidPlane, fakeProcess } from '../../test/fakes/svid-plane.ts';
import { SpiffeId, TrustDomain, type WorkloadUpdate } from '../spiffe/index.ts';

function serials(update: WorkloadUpdate | undefined): readonly string[] {
  return (update?.identities ?? []).map(({ certificateChain }) => {
    const [leaf] = certificateChain;
    if (leaf === undefined) throw new Error('an empty chain');
    return new X509Certificate(leaf).serialNumber;
  });
}

describe('the first update', () => {
  it('has no identity when no entry matches, and comes at once', async () => {
    const plane = createSvidPlane();
    const listener = await plane.attach(fakeProcess());
    expect(listener.paths).toEqual([]);
    expect(listener.last?.bundle).toBe(plane.trust.current().own);
    expect(plane.issuer.calls).toEqual([]);
  });

  it('waits for the SVIDs of all matching entries, the oldest entry first (WLAPI-16)', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('old'), fakeEntry('young'));
    const release = plane.issuer.hold();
    const listener = await plane.attach(fakeProcess());
    expect(listener.updates).toEqual([]);
    release();
    await plane.settle();
    expect(listener.updates).toHaveLength(1);
    expect(listener.paths).toEqual(['/old', '/young']);
    expect(plane.issuer.calls).toEqual([2]);
  });

  it('waits for all of them also when some are there already, so that the default stays (WLAPI-16)', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('old', { selectors: ['unix:gid:1'] }), fakeEntry('young'));
    await plane.attach(fakeProcess('unix:uid:1000'));
    const release = plane.issuer.hold();
    const listener = await plane.attach(fakeProcess('unix:uid:1000', 'unix:gid:1'));
    expect(listener.updates).toEqual([]);
    release();
    await plane.settle();
    expect(listener.updates).toHaveLength(1);
    expect(listener.paths).toEqual(['/old', '/young']);
  });

  it('holds a leaf for the key it comes with', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web', { dnsNames: ['web.test'] }));
    const identity = (await plane.attach(fakeProcess())).last?.identities[0];
    const leaf = new X509Certificate(identity?.certificateChain[0] ?? '');
    const key = createPrivateKey({
      key: Buffer.from(identity?.privateKey ?? []),
      format: 'der',
      type: 'pkcs8',
    });
    const spki = { format: 'der', type: 'spki' } as const;
    expect(leaf.publicKey.export(spki)).toEqual(createPublicKey(key).export(spki));
    expect(leaf.subjectAltName).toBe('URI:spiffe://a.test/web, DNS:web.test');
    expect(identity?.expiresAt).toBe(leaf.validToDate.getTime());
  });

  it('has what there is when some SVIDs can not be had, and the rest later', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('bad'), fakeEntry('good'));
    plane.issuer.refused.add('bad');
    const listener = await plane.attach(fakeProcess());
    expect(listener.paths).toEqual(['/good']);
    expect(plane.source.health().failing.map(({ entryId }) => entryId)).toEqual(['bad']);
    plane.issuer.refused.clear();
    await plane.clock.advanceAsync(300);
    expect(listener.paths).toEqual(['/bad', '/good']);
    expect(plane.source.health()).toEqual({ isOk: true, failing: [] });
  });

  it('comes without identities when the issuer never answers, after 10 s', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    plane.issuer.hold();
    const listener = await plane.attach(fakeProcess());
    await plane.clock.advanceAsync(9_999);
    expect(listener.updates).toEqual([]);
    await plane.clock.advanceAsync(1);
    await plane.settle();
    expect(listener.paths).toEqual([]);
    expect(plane.source.health().failing[0]?.error).toMatch('within 10 s');
  });
});

describe('entries', () => {
  it('are served as soon as they exist, and dropped at once when they are gone', async () => {
    const plane = createSvidPlane();
    const listener = await plane.attach(fakeProcess());
    plane.entries.put(fakeEntry('web'));
    await plane.settle();
    expect(listener.paths).toEqual(['/web']);
    plane.entries.delete('web');
    await plane.settle();
    expect(listener.paths).toEqual([]);
    expect(await plane.metric('trustplane_svid_live_svids')).toBe(0);
  });

  it('that are replaced by others do not leave the workload without identity in between', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('before'));
    const listener = await plane.attach(fakeProcess());
    const release = plane.issuer.hold();
    plane.entries.put(fakeEntry('after'));
    plane.entries.delete('before');
    await plane.settle();
    expect(listener.paths).toEqual(['/before']);
    release();
    await plane.settle();
    expect(listener.updates.map((update) => update.identities.length)).toEqual([1, 1]);
    expect(listener.paths).toEqual(['/after']);
  });

  it('that go take their identity with them while another one is still being issued', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('stays'), fakeEntry('goes'));
    const listener = await plane.attach(fakeProcess());
    plane.issuer.hold();
    plane.entries.put(fakeEntry('comes'));
    plane.entries.delete('goes');
    await plane.settle();
    expect(listener.paths).toEqual(['/stays']);
  });

  it('keep the old SVID until the new one is there when TTL or DNS names change', async () => {
    const plane = createSvidPlane();
    const entry = fakeEntry('web');
    plane.entries.put(entry);
    const listener = await plane.attach(fakeProcess());
    const before = serials(listener.last);
    const release = plane.issuer.hold();
    plane.entries.put({ ...entry, dnsNames: ['web.test'], revisionNumber: 1 });
    await plane.settle();
    expect(serials(listener.last)).toEqual(before);
    release();
    await plane.settle();
    expect(listener.updates).toHaveLength(2);
    expect(serials(listener.last)).not.toEqual(before);
  });

  it('are not issued again when only hint or federation change', async () => {
    const plane = createSvidPlane();
    const entry = fakeEntry('web');
    const foreign = bundleOf(TrustDomain.parse('b.test'), [], 7n);
    plane.trust.set(plane.issuer.bundle(), foreign);
    plane.entries.put(entry);
    const listener = await plane.attach(fakeProcess());
    expect(listener.last?.federatedBundles.size).toBe(0);
    plane.entries.put({ ...entry, hint: 'internal', federatesWith: [foreign.trustDomain] });
    await plane.settle();
    expect(listener.last?.identities[0]?.hint).toBe('internal');
    expect(listener.last?.federatedBundles).toEqual(new Map([['b.test', foreign]]));
    expect(plane.issuer.issued).toBe(1);
  });

  it('whose SPIFFE ID changes are never served under the old one again', async () => {
    const plane = createSvidPlane();
    const entry = fakeEntry('web');
    plane.entries.put(entry, fakeEntry('other'));
    const listener = await plane.attach(fakeProcess());
    const release = plane.issuer.hold();
    plane.entries.put({ ...entry, spiffeId: SpiffeId.parse('spiffe://a.test/renamed') });
    await plane.settle();
    expect(listener.paths).toEqual(['/other']);
    release();
    await plane.settle();
    expect(listener.paths).toEqual(['/renamed', '/other']);
  });

  it('that change while their SVID is under way are asked for again', async () => {
    const plane = createSvidPlane();
    const entry = fakeEntry('web');
    plane.entries.put(entry);
    const release = plane.issuer.hold();
    const listener = await plane.attach(fakeProcess());
    plane.entries.put({ ...entry, dnsNames: ['b.test'] });
    await plane.settle();
    plane.entries.put({ ...entry, dnsNames: ['c.test'] });
    await plane.settle();
    release();
    await plane.settle();
    await plane.settle();
    expect(plane.issuer.calls).toEqual([1, 1]);
    const leaf = listener.last?.identities[0]?.certificateChain[0] ?? '';
    expect(new X509Certificate(leaf).subjectAltName).toMatch('c.test');
  });

  it('that expire leave at that moment', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web', { expiresAt: plane.clock.now() + 60_000 }));
    const listener = await plane.attach(fakeProcess());
    await plane.clock.advanceAsync(59_999);
    expect(listener.paths).toEqual(['/web']);
    await plane.clock.advanceAsync(1);
    await plane.settle();
    expect(listener.paths).toEqual([]);
  });

  it('give a hint once, to the oldest entry (WLAPI-8)', async () => {
    const plane = createSvidPlane();
    const hint = 'internal';
    plane.entries.put(fakeEntry('a', { hint }), fakeEntry('b', { hint }), fakeEntry('c'));
    const listener = await plane.attach(fakeProcess());
    expect(listener.last?.identities.map(({ hint }) => hint)).toEqual(['internal', '', '']);
  });

  it('that are gone before their turn are not asked for', async () => {
    const plane = createSvidPlane();
    const listener = await plane.attach(fakeProcess());
    const entries = Array.from({ length: 210 }, (_, i) => fakeEntry(`e${i}`));
    const release = plane.issuer.hold();
    plane.entries.put(...entries);
    await plane.settle();
    expect(plane.issuer.calls).toEqual([50, 50, 50, 50]);
    plane.entries.delete(...entries.slice(2).map(({ id }) => id));
    await plane.settle();
    release();
    await plane.settle();
    expect(plane.issuer.calls).toHaveLength(4);
    expect(listener.paths).toEqual(['/e0', '/e1']);
  });

  it('created and deleted in a storm end in the right state, with the work of batches', async () => {
    const plane = createSvidPlane();
    const listener = await plane.attach(fakeProcess());
    const entries = Array.from({ length: 500 }, (_, i) => fakeEntry(`e${i}`));
    for (const entry of entries) plane.entries.put(entry);
    for (const { id } of entries.slice(100)) plane.entries.delete(id);
    for (let i = 0; i < 10; i++) await plane.settle();
    expect(listener.paths).toEqual(entries.slice(0, 100).map(({ spiffeId }) => spiffeId.path));
    expect(plane.issuer.calls).toEqual([50, 50]);
  });
});

describe('a machine that slept for longer than SVIDs live', () => {
  it('tells no entitled workload of a moment without identity, however many there are', async () => {
    const plane = createSvidPlane();
    const names = Array.from({ length: 120 }, (_, index) => `w${index}`);
    plane.entries.put(...names.map((id) => fakeEntry(id, { selectors: [`unix:user:${id}`] })));
    const listeners = await Promise.all(
      names.map((name) => plane.attach(fakeProcess(`unix:user:${name}`))),
    );
    plane.clock.jump(plane.clock.now() + 2 * 3_600_000);
    await plane.clock.advanceAsync(5_000);
    await plane.settle();
    expect(new Set(listeners.map(({ updates }) => updates.length))).toEqual(new Set([2]));
    expect(listeners.map(({ paths }) => paths)).toEqual(names.map((name) => [`/${name}`]));
  });

  it('gives nothing expired to one that comes before the new SVID', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    await plane.attach(fakeProcess());
    const release = plane.issuer.hold();
    plane.clock.jump(plane.clock.now() + 2 * 3_600_000);
    await plane.clock.advanceAsync(5_000);
    const late = await plane.attach(fakeProcess());
    expect(late.updates).toEqual([]);
    release();
    await plane.settle();
    expect(late.paths).toEqual(['/web']);
    expect(late.last?.identities[0]?.expiresAt).toBeGreaterThan(plane.clock.now());
  });
});
