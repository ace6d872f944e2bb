import { describe, expect, it } from 'vitest';
import { fakeEntry } from '../../test/fakes/fake-entitlements.ts';
import { createGate } from '../../test/fakes/gate.ts';
import { createSvidPlane, fakeProcess, RecordingListener } from '../../test/fakes/svid-plane.ts';

describe('a session', () => {
  it('attests once per push for all streams of a process', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const process = fakeProcess();
    const listeners = Array.from({ length: 100 }, () => {
      const listener = new RecordingListener();
      plane.source.attach(process, listener);
      return listener;
    });
    await plane.settle();
    const before = process.attestations;
    plane.entries.put(fakeEntry('db'));
    await plane.settle();
    expect(listeners.every(({ paths }) => paths?.join() === '/web,/db')).toBe(true);
    expect(process.attestations).toBe(before + 1);
  });

  it('attests each stream that attaches', async () => {
    const plane = createSvidPlane();
    const process = fakeProcess();
    const first = await plane.attach(process);
    const second = await plane.attach(process);
    expect(process.attestations).toBe(2);
    expect([first.updates.length, second.updates.length]).toEqual([1, 1]);
  });

  it('serves a stream that attaches during an attestation only after one of its own', async () => {
    const plane = createSvidPlane();
    const process = fakeProcess();
    const gate = createGate();
    process.gate = gate.passed;
    const early = await plane.attach(process);
    process.failure = new Error('no longer known');
    const late = await plane.attach(process);
    gate.open();
    await plane.settle();
    expect(early.updates).toHaveLength(1);
    expect(late.updates).toHaveLength(0);
    expect([early.gone, late.gone]).toEqual([process.failure, process.failure]);
  });

  it('pushes only what an attestation that began after the change allows, the latest only', async () => {
    const plane = createSvidPlane();
    const process = fakeProcess();
    const listener = await plane.attach(process);
    const gate = createGate();
    process.gate = gate.passed;
    plane.entries.put(fakeEntry('a'));
    await plane.settle();
    const during = process.attestations;
    for (const id of ['b', 'c', 'd']) {
      plane.entries.put(fakeEntry(id));
      await plane.settle();
    }
    expect(process.attestations).toBe(during);
    gate.open();
    await plane.settle();
    expect(process.attestations).toBe(during + 1);
    expect(listener.updates.map(({ identities }) => identities.length)).toEqual([0, 1, 4]);
  });

  it('attests again when an attestor has found out more, and not once it is over', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web', { selectors: ['unix:uid:1', 'unix:sha256:a'] }));
    const process = fakeProcess('unix:uid:1');
    const listener = new RecordingListener();
    const attachment = plane.source.attach(process, listener);
    await plane.settle();
    expect(listener.paths).toEqual([]);
    process.selectors = ['unix:uid:1', 'unix:sha256:a'];
    process.again();
    await plane.settle();
    expect(listener.paths).toEqual(['/web']);
    attachment.close();
    const { attestations } = process;
    process.again();
    await plane.settle();
    expect(process.attestations).toBe(attestations);
  });

  it('moves to another set when the selectors have changed', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('old'), fakeEntry('new', { selectors: ['unix:uid:2'] }));
    const process = fakeProcess('unix:uid:1000');
    const listener = await plane.attach(process);
    process.selectors = ['unix:uid:2'];
    plane.entries.put(fakeEntry('old2'));
    await plane.settle();
    await plane.settle();
    expect(listener.updates.map((update) => update.identities.map((i) => i.spiffeId.path))).toEqual(
      [['/old'], ['/new']],
    );
    expect(await plane.metric('trustplane_svid_selector_sets')).toBe(1);
  });

  it('ends with the error when attestation fails, for all streams', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const process = fakeProcess();
    const listeners = [await plane.attach(process), await plane.attach(process)];
    process.failure = new Error('cannot read /proc');
    plane.entries.put(fakeEntry('db'));
    await plane.settle();
    expect(listeners.map(({ gone }) => gone)).toEqual([process.failure, process.failure]);
    expect(listeners.map(({ paths }) => paths)).toEqual([['/web'], ['/web']]);
    expect(await plane.metric('trustplane_svid_sessions')).toBe(0);
    plane.entries.delete('db');
    await plane.settle();
  });

  it('gives nothing to a process that died or was replaced during the attestation', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const process = fakeProcess();
    const listener = await plane.attach(process);
    process.alive = false;
    plane.entries.put(fakeEntry('db'));
    await plane.settle();
    expect(listener.gone).toMatchObject({ code: 'ERR_SVID_WORKLOAD_GONE' });
    expect(listener.paths).toEqual(['/web']);
  });

  it('delivers nothing after close, even if an attestation is under way', async () => {
    const plane = createSvidPlane();
    const process = fakeProcess();
    const gate = createGate();
    process.gate = gate.passed;
    const listener = new RecordingListener();
    const attachment = plane.source.attach(process, listener);
    attachment.close();
    gate.open();
    await plane.settle();
    expect([listener.updates, listener.gone]).toEqual([[], undefined]);
    expect(await plane.metric('trustplane_svid_selector_sets')).toBe(0);
  });

  it('starts anew for a process that left and came back', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const process = fakeProcess();
    plane.source.attach(process, new RecordingListener()).close();
    const listener = await plane.attach(process);
    expect(listener.paths).toEqual(['/web']);
    expect(await plane.metric('trustplane_svid_sessions')).toBe(1);
  });

  it('serves the others when one stream throws', async () => {
    const plane = createSvidPlane();
    const process = fakeProcess();
    plane.source.attach(process, {
      onUpdate: () => {
        throw new Error('broken stream');
      },
      onGone: () => {},
    });
    const listener = await plane.attach(process);
    expect(listener.updates).toHaveLength(1);
    expect(listener.gone).toBeUndefined();
  });

  it('lets a stream close itself and attach again from within an update', async () => {
    const plane = createSvidPlane();
    const process = fakeProcess();
    const again = new RecordingListener();
    const attachment = plane.source.attach(process, {
      onUpdate: () => {
        attachment.close();
        plane.source.attach(process, again);
      },
      onGone: () => {},
    });
    await plane.settle();
    expect(again.updates).toHaveLength(1);
  });
});
