import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { broadcastMetricsOf } from './broadcast-metrics.ts';
import { Outbox, type OutboxItem } from './outbox.ts';

const HOUR_MS = 3_600_000;

function item(subject: string, version: string = '1'): OutboxItem {
  return { subject, version, kind: 'relay', write: () => Buffer.from(version) };
}

/** An outbox whose NATS is the test. */
function open(options: { readonly isKept?: boolean; readonly canSign?: boolean } = {}) {
  const clock = new FakeClock();
  const sent: string[] = [];
  const state = { isConnected: true, isMine: true, canSign: options.canSign ?? true };
  let [onLink, onDuty]: [(isConnected: boolean) => void, () => void] = [() => {}, () => {}];
  const outbox = new Outbox({
    link: {
      connection: {
        info: { max_payload: 100 },
        publish: (subject, bytes) => void sent.push(`${subject} ${Buffer.from(bytes).toString()}`),
      },
      get isConnected() {
        return state.isConnected;
      },
      watch: (listener) => {
        onLink = listener;
        return () => {};
      },
    },
    signers: async () =>
      state.canSign ? { signers: [], expiresAt: clock.now() + HOUR_MS } : undefined,
    isKept: () => options.isKept ?? true,
    duty: {
      isMine: () => state.isMine,
      watch: (listener) => {
        onDuty = listener;
        return () => {};
      },
    },
    clock,
    log: silentLog,
    metrics: broadcastMetricsOf(createMetrics()),
  });
  onTestFinished(() => outbox.close());
  return {
    outbox,
    clock,
    state,
    set: async (...items: OutboxItem[]) => {
      outbox.set(items);
      await settle();
    },
    connect: async (isConnected: boolean) => {
      state.isConnected = isConnected;
      onLink(isConnected);
      await settle();
    },
    entrust: async (isMine: boolean) => {
      state.isMine = isMine;
      onDuty();
      await settle();
    },
    /** What was sent since it was asked last. */
    sent: () => sent.splice(0),
  };
}

describe('an outbox', () => {
  it('sends what is new or says something else, and what it said again at half of its life', async () => {
    const { set, sent, clock } = open();
    await set(item('a'), item('b'));
    expect(sent()).toEqual(['a 1', 'b 1']);
    await set(item('a'), item('b', '2'));
    expect(sent()).toEqual(['b 2']);
    await clock.advanceAsync(HOUR_MS / 2 - 60_000);
    expect(sent()).toEqual([]);
    await clock.advanceAsync(120_000);
    expect(sent()).toEqual(['a 1', 'b 2']);
    await set(item('b', '2'));
    await clock.advanceAsync(HOUR_MS);
    expect(new Set(sent())).toEqual(new Set(['b 2']));
  });

  it('says it after 2, 4, 8 … 60 s and then each minute where no stream keeps it', async () => {
    const { set, sent, clock } = open({ isKept: false });
    await set(item('a'));
    await clock.advanceAsync(2_000);
    expect(sent()).toHaveLength(2);
    await clock.advanceAsync(60_000);
    expect(sent()).toHaveLength(4);
    await clock.advanceAsync(5 * 60_000);
    expect(sent()).toHaveLength(5);
  });

  it('sends all when a connection is back', async () => {
    const { set, sent, connect } = open();
    await set(item('a'));
    await connect(false);
    await set(item('a', '2'));
    expect(sent()).toEqual(['a 1']);
    await connect(true);
    expect(sent()).toEqual(['a 2']);
    await connect(true);
    expect(sent()).toEqual(['a 2']);
  });

  it('leaves it to another server until the duty comes to this one', async () => {
    const { set, sent, entrust } = open();
    await entrust(false);
    await set(item('a'));
    expect(sent()).toEqual([]);
    await entrust(true);
    expect(sent()).toEqual(['a 1']);
  });

  it('waits until receivers can know who signs', async () => {
    const { set, sent, state, clock } = open({ canSign: false });
    await set(item('a'));
    expect(sent()).toEqual([]);
    state.canSign = true;
    await clock.advanceAsync(60_000);
    expect(sent()).toEqual(['a 1']);
  });

  it('says it again when the clock was put back: what it said is of the future', async () => {
    const { set, sent, clock } = open();
    await set(item('a'));
    clock.advance(-24 * HOUR_MS);
    await set(item('a'));
    expect(sent()).toEqual(['a 1', 'a 1']);
  });

  it('goes on after one that is too large for NATS', async () => {
    const { set, sent } = open();
    await set(item('a', 'x'.repeat(101)), item('b'));
    expect(sent()).toEqual(['b 1']);
  });

  it('sends hundreds', async () => {
    const { set, sent, outbox } = open();
    await set(...Array.from({ length: 200 }, (_, n) => item(`${n}`)));
    for (let turn = 0; turn < 20; turn++) await settle();
    expect(sent()).toHaveLength(200);
    await outbox.close();
  });
});
