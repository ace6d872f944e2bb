import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { bundleOf } from '../../test/fakes/fake-svid-issuer.ts';
import { createSvidPlane, fakeProcess, RecordingListener } from '../../test/fakes/svid-plane.ts';
import { SpiffeId, TrustDomain, type WorkloadUpdate } from '../spiffe/index.ts';

const HOUR_MS = 3_600_000;

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

describe('sharing', () => {
  it('gives 1,000 workloads with 50 selector sets 50 updates and 50 SVIDs', async () => {
    const plane = createSvidPlane();
    for (let set = 0; set < 50; set++) {
      plane.entries.put(fakeEntry(`w${set}`, { selectors: [`unix:uid:${set}`] }));
    }
    const listeners = Array.from({ length: 1_000 }, (_, i) => {
      const listener = new RecordingListener();
      plane.source.attach(fakeProcess(`unix:uid:${i % 50}`), listener);
      return listener;
    });
    for (let i = 0; i < 5; i++) await plane.settle();
    expect(new Set(listeners.map(({ last }) => last)).size).toBe(50);
    expect(plane.issuer.issued).toBe(50);
    expect(await plane.metric('trustplane_svid_updates_total')).toBe(50);
    expect(await plane.metric('trustplane_svid_sessions')).toBe(1_000);
    plane.issuer.prepareAuthority();
    plane.trust.set(plane.issuer.bundle());
    for (let i = 0; i < 5; i++) await plane.settle();
    expect(new Set(listeners.map(({ last }) => last)).size).toBe(50);
    expect(listeners.every(({ updates }) => updates.length === 2)).toBe(true);
    expect(plane.clock.timers).toBe(1);
  });

  it('gives the same identity object to all sets that have the entry', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const one = await plane.attach(fakeProcess('unix:uid:1000'));
    const two = await plane.attach(fakeProcess('unix:uid:1000', 'unix:gid:7'));
    expect(one.last).not.toBe(two.last);
    expect(one.last?.identities[0]).toBe(two.last?.identities[0]);
    expect(plane.issuer.issued).toBe(1);
  });

  it('sends nothing when nothing changed in content', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const listener = await plane.attach(fakeProcess());
    const { own } = plane.trust.current();
    plane.trust.set({ ...own });
    plane.entries.put(fakeEntry('unrelated', { selectors: ['unix:uid:7'] }));
    await plane.settle();
    expect(listener.updates).toHaveLength(1);
  });

  it('keeps an SVID for the next workload, but drops it when its entry goes', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    for (let i = 0; i < 3; i++) {
      const listener = new RecordingListener();
      const attachment = plane.source.attach(fakeProcess(), listener);
      await plane.settle();
      expect(listener.paths).toEqual(['/web']);
      attachment.close();
    }
    expect(plane.issuer.issued).toBe(1);
    plane.entries.delete('web');
    await plane.settle();
    expect(await plane.metric('trustplane_svid_live_svids')).toBe(0);
  });

  it('does not renew what nobody holds', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    plane.source.attach(fakeProcess(), new RecordingListener()).close();
    const attachment = plane.source.attach(fakeProcess(), new RecordingListener());
    await plane.settle();
    attachment.close();
    await plane.clock.advanceAsync(3 * HOUR_MS);
    expect(plane.issuer.issued).toBe(1);
    expect(await plane.metric('trustplane_svid_live_svids')).toBe(0);
    expect(plane.clock.timers).toBe(0);
  });
});

describe('closing', () => {
  it('leaves nothing behind', async () => {
    const plane = createSvidPlane();
    for (let i = 0; i < 20; i++) {
      plane.entries.put(fakeEntry(`w${i}`, { selectors: [`unix:uid:${i}`], expiresAt: 4e12 }));
    }
    const attachments = Array.from({ length: 100 }, (_, i) =>
      plane.source.attach(fakeProcess(`unix:uid:${i % 20}`), new RecordingListener()),
    );
    await plane.settle();
    await plane.settle();
    for (const attachment of attachments) {
      attachment.close();
      attachment.close();
    }
    for (const name of ['sessions', 'selector_sets', 'wanted_svids']) {
      expect([name, await plane.metric(`trustplane_svid_${name}`)]).toEqual([name, 0]);
    }
    plane.source.close();
    expect(plane.clock.timers).toBe(0);
    expect([plane.entries.listeners, plane.trust.listeners]).toEqual([0, 0]);
    expect(await plane.metric('trustplane_svid_live_svids')).toBe(0);
  });

  it('tells later workloads that it is over', async () => {
    const plane = createSvidPlane();
    const early = await plane.attach(fakeProcess());
    plane.source.close();
    const late = await plane.attach(fakeProcess());
    expect(late.gone).toMatchObject({ code: 'ERR_SVID_CLOSED' });
    expect(early.gone).toBeUndefined();
  });
});
