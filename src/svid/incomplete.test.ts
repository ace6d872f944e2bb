import { describe, expect, it } from 'vitest';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { createSvidPlane, fakeProcess } from '../../test/fakes/svid-plane.ts';

describe('while the entitlements are not complete', () => {
  it('a workload without an entry waits in silence, and then has its empty update at once', async () => {
    const plane = createSvidPlane({ isComplete: false });
    const listener = await plane.attach(fakeProcess());
    plane.entries.put(fakeEntry('other', { selectors: ['unix:uid:7'] }));
    await plane.clock.advanceAsync(60_000);
    expect(listener.updates).toEqual([]);
    plane.entries.complete();
    await plane.settle();
    expect(listener.paths).toEqual([]);
    expect(listener.updates).toHaveLength(1);
  });

  it('a workload whose SVID can not be had waits too, and has it as soon as that changes', async () => {
    const plane = createSvidPlane({ isComplete: false });
    plane.entries.put(fakeEntry('web'));
    plane.issuer.failure = new Error('no server');
    const listener = await plane.attach(fakeProcess());
    await plane.clock.advanceAsync(60_000);
    expect(listener.updates).toEqual([]);
    plane.issuer.failure = undefined;
    plane.entries.complete();
    await plane.settle();
    expect(listener.updates.map(({ identities }) => identities.length)).toEqual([1]);
  });

  it('what can be served is served, without a wait for the rest', async () => {
    const plane = createSvidPlane({ isComplete: false });
    plane.entries.put(fakeEntry('old', { selectors: ['unix:gid:1'] }), fakeEntry('young'));
    await plane.attach(fakeProcess('unix:uid:1000'));
    plane.issuer.hold();
    const listener = await plane.attach(fakeProcess('unix:uid:1000', 'unix:gid:1'));
    expect(listener.paths).toEqual(['/young']);
  });

  it('an SVID that expires is nobody’s any more, but its workload is not told that it has none', async () => {
    const plane = createSvidPlane({ isComplete: false });
    plane.entries.put(fakeEntry('web', { x509SvidTtlSeconds: 60 }));
    const process = fakeProcess();
    const early = await plane.attach(process);
    plane.issuer.failure = new Error('no server');
    await plane.clock.advanceAsync(120_000);
    const late = await plane.attach(process);
    expect(early.updates).toHaveLength(1);
    expect(late.updates).toEqual([]);
    plane.entries.delete('web');
    plane.entries.complete();
    await plane.settle();
    expect([early.paths, late.paths]).toEqual([[], []]);
  });
});
