import type { NatsConnection } from '@nats-io/transport-node';
import { expect, it, onTestFinished } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { broadcastMetricsOf } from './broadcast-metrics.ts';
import { Inboxes } from './inboxes.ts';

/** Inboxes whose NATS is the test: it refuses subscriptions while it drains, and nobody answers requests. */
function open() {
  const clock = new FakeClock();
  const asked: string[] = [];
  const subscribed = new Map<string, (error: null, message: { data: Uint8Array }) => void>();
  const state = { isDraining: false };
  let onLink: (isConnected: boolean) => void = () => {};
  const connection: Pick<NatsConnection, 'isClosed' | 'subscribe'> = {
    isClosed: () => false,
    subscribe: (subject, options) => {
      if (state.isDraining) throw new Error('DrainingConnectionError');
      subscribed.set(subject, Object(options).callback);
      return Object.create({ unsubscribe: () => void subscribed.delete(subject) });
    },
  };
  const inboxes = new Inboxes({
    link: {
      connection: Object.create(connection),
      isConnected: true,
      watch: (listener) => {
        onLink = listener;
        return () => {};
      },
    },
    stream: {
      latest: async (subject) => {
        asked.push(subject);
        throw new Error('timeout');
      },
    },
    clock,
    log: silentLog,
    metrics: broadcastMetricsOf(createMetrics()),
  });
  onTestFinished(() => inboxes.close());
  const set = async (...subjects: string[]) => {
    await inboxes.set(
      subjects.map((subject) => ({ subject, kind: 'bundle', take: () => 'accepted' })),
    );
  };
  return {
    clock,
    state,
    set,
    inboxes,
    subscribed,
    asked: () => asked.splice(0),
    connect: () => onLink(true),
  };
}

it('asks no more for a subject that is listened to no more', async () => {
  const { set, clock, asked } = open();
  await set('gone');
  await set();
  asked();
  await clock.advanceAsync(600_000);
  expect(asked()).toEqual([]);
  expect(clock.timers).toBe(0);
});

it('asks as often whatever the number of connections there were', async () => {
  const { set, connect, clock, asked } = open();
  await set('a');
  for (let n = 0; n < 50; n++) {
    connect();
    await settle();
  }
  expect(clock.timers).toBe(1);
  asked();
  await clock.advanceAsync(2_000);
  expect(asked()).toEqual(['a']);
});

it('fails nobody when a connection that ends takes no subscription', async () => {
  const { set, state } = open();
  state.isDraining = true;
  await expect(set('a')).resolves.toBeUndefined();
});

it('listens to what is new at once, and to nothing that was given up', async () => {
  const { inboxes, subscribed, set } = open();
  const gate = Promise.withResolvers<'accepted'>();
  await inboxes.set([{ subject: 'slow', kind: 'bundle', take: () => gate.promise }]);
  subscribed.get('slow')?.(null, { data: new Uint8Array() });
  // One that is new waits for no message that is being taken in.
  const adding = set('new');
  expect([...subscribed.keys()]).toEqual(['new']);
  const ending = set();
  gate.resolve('accepted');
  await Promise.all([adding, ending]);
  expect([...subscribed.keys()]).toEqual([]);
});
