import { describe, expect, it } from 'vitest';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { createSvidPlane, fakeProcess, RecordingListener } from '../../test/fakes/svid-plane.ts';
import { createLog } from '../ops/index.ts';

const HOUR_MS = 3_600_000;

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

describe('the log', () => {
  it('names the selectors of workloads without an identity once, and never a key', async () => {
    const lines: string[] = [];
    const log = createLog({ level: 'debug', destination: { write: (line) => lines.push(line) } });
    const plane = createSvidPlane({ log });
    for (let i = 0; i < 3; i++) {
      const attachment = plane.source.attach(fakeProcess('unix:uid:7'), new RecordingListener());
      await plane.settle();
      attachment.close();
    }
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/"selectors":\["unix:uid:7"\],"why":"no registration entry matches"/);
    plane.entries.put(fakeEntry('web', { selectors: ['unix:uid:7'] }));
    const listener = await plane.attach(fakeProcess('unix:uid:7'));
    plane.entries.delete('web');
    await plane.settle();
    expect(lines).toHaveLength(2);
    const key = Buffer.from(listener.updates[0]?.identities[0]?.privateKey ?? []);
    expect(key.length).toBeGreaterThan(0);
    for (const encoding of ['hex', 'base64'] as const) {
      expect(lines.join('')).not.toContain(key.toString(encoding).slice(60, 100));
    }
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
