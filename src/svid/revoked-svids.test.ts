import { describe, expect, it } from 'vitest';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { createSvidPlane, fakeProcess } from '../../test/fakes/svid-plane.ts';

const web = fakeEntry('web');

describe('an SVID that is revoked', () => {
  it('is replaced at once while its entry stands, and is nobody’s until then', async () => {
    const plane = createSvidPlane();
    plane.entries.put(web);
    const process = fakeProcess();
    const listener = await plane.attach(process);
    await plane.clock.advanceAsync(60_000);
    const release = plane.issuer.hold();
    plane.revocations.revokeId(web.spiffeId, plane.clock.now() - 60_000);
    await plane.settle();
    const late = await plane.attach(process);
    expect(late.updates).toEqual([]);
    expect(plane.kept.size).toBe(0);
    release();
    await plane.settle();
    const [before, after] = listener.updates;
    expect(after?.identities[0]?.certificateChain).not.toEqual(
      before?.identities[0]?.certificateChain,
    );
    expect(late.paths).toEqual(['/web']);
    expect(plane.issuer.issued).toBe(2);
  });

  it('is taken away when no other can be had', async () => {
    const plane = createSvidPlane();
    plane.entries.put(web);
    const listener = await plane.attach(fakeProcess());
    plane.issuer.failure = new Error('no server');
    plane.revocations.revokeId(web.spiffeId, plane.clock.now());
    await plane.settle();
    expect(listener.paths).toEqual([]);
  });

  it('leaves the others of a workload in place', async () => {
    const plane = createSvidPlane();
    plane.entries.put(web, fakeEntry('db'));
    const listener = await plane.attach(fakeProcess());
    plane.issuer.hold();
    plane.revocations.add({ kind: 'entry', value: 'web', issuedBefore: plane.clock.now() + 1 });
    await plane.settle();
    expect(listener.paths).toEqual(['/db']);
  });

  it('is refused from the issuer too, and asked for again later', async () => {
    const plane = createSvidPlane();
    plane.entries.put(web);
    plane.revocations.revokeId(web.spiffeId, plane.clock.now());
    const listener = await plane.attach(fakeProcess());
    expect(listener.paths).toEqual([]);
    expect(plane.source.health().failing[0]?.error).toMatch('is revoked');
    await plane.clock.advanceAsync(60_000);
    expect(listener.paths).toEqual(['/web']);
    expect(plane.issuer.issued).toBeLessThan(12);
  });

  it('leaves no listener behind', () => {
    const plane = createSvidPlane();
    expect(plane.revocations.listeners).toBe(1);
    plane.source.close();
    expect(plane.revocations.listeners).toBe(0);
  });
});
