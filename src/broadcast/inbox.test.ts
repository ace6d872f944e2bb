import { describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { broadcastMetricsOf } from './broadcast-metrics.ts';
import { Inbox, type Listening, type Subscribing } from './inbox.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

/** An inbox whose NATS is the test. */
async function open(take: Listening['take']) {
  const clock = new FakeClock();
  const metrics = createMetrics();
  const taken: string[] = [];
  let latest: string | undefined;
  let receive: Parameters<Subscribing['subscribe']>[1]['callback'] = () => {};
  const connection: Subscribing = {
    isClosed: () => false,
    subscribe: (_, { callback }) => {
      receive = callback;
      return { unsubscribe: () => {} };
    },
  };
  const inbox = new Inbox(
    {
      link: { connection },
      stream: { latest: async () => (latest === undefined ? undefined : bytes(latest)) },
      clock,
      log: silentLog,
      metrics: broadcastMetricsOf(metrics),
    },
    {
      subject: 's',
      kind: 'bundle',
      take: (message) => {
        taken.push(Buffer.from(message).toString());
        return take(message);
      },
    },
  );
  inbox.connect();
  return {
    clock,
    taken,
    inbox,
    setLatest: (text: string) => {
      latest = text;
    },
    send: async (...texts: string[]) => {
      for (const text of texts) receive(null, { data: bytes(text) });
      await settle();
    },
    count: async (name: string) => {
      const start = `trustplane_broadcast_${name} `;
      const line = (await metrics.render()).split('\n').find((one) => one.startsWith(start));
      return Number(line?.slice(start.length) ?? 0);
    },
  };
}

describe('an inbox', () => {
  it('takes one message after the other, and the same one once', async () => {
    const { send, taken, count } = await open(() => 'accepted');
    await send('one', 'one', 'two');
    expect(taken).toEqual(['one', 'two']);
    expect(await count('received_total{kind="bundle",outcome="accepted"}')).toBe(2);
    expect(await count('received_total{kind="bundle",outcome="known"}')).toBe(1);
  });

  it('passes over what is beyond its rate, and asks for the last message later', async () => {
    const { send, taken, clock, setLatest, count } = await open(() => 'accepted');
    for (let n = 0; n < 100; n++) await send(`${n}`);
    expect(taken).toHaveLength(40);
    expect(await count('refused_total{kind="bundle",reason="flood"}')).toBe(60);
    setLatest('last');
    await clock.advanceAsync(2_000);
    expect(taken.at(-1)).toBe('last');
    await send('next');
    expect(taken.at(-1)).toBe('next');
  });

  it('keeps no more than eight that wait', async () => {
    const gate = Promise.withResolvers<'accepted'>();
    const { send, taken, count } = await open(() => gate.promise);
    await send(...Array.from({ length: 30 }, (_, n) => `${n}`));
    expect(await count('refused_total{kind="bundle",reason="flood"}')).toBe(21);
    gate.resolve('accepted');
    await settle();
    expect(taken).toHaveLength(9);
  });

  it('tries again what was believed and could not be stored, and nothing else', async () => {
    let failure: TrustplaneError | undefined = new TrustplaneError('ERR_STORE_UNAVAILABLE', 'away');
    const { send, taken, clock } = await open(() => {
      if (failure !== undefined) throw failure;
      return 'accepted';
    });
    await send('one');
    failure = undefined;
    await clock.advanceAsync(2_000);
    expect(taken).toEqual(['one', 'one']);
    failure = new TrustplaneError('ERR_BUNDLE_MESSAGE_SIGNATURE', 'forged');
    await send('two');
    await clock.advanceAsync(10_000);
    expect(taken).toEqual(['one', 'one', 'two']);
  });

  it('does not try again what no store takes', async () => {
    const { send, taken, clock } = await open(() => {
      throw new TrustplaneError('ERR_FEDERATION_TOO_LARGE', 'large');
    });
    await send('one');
    await clock.advanceAsync(60_000);
    expect(taken).toEqual(['one']);
  });

  it('listens no more once it is closed', async () => {
    const { send, taken, inbox, clock } = await open(() => {
      throw new TrustplaneError('ERR_STORE_UNAVAILABLE', 'away');
    });
    await send('one');
    await inbox.close();
    await clock.advanceAsync(10_000);
    expect(taken).toEqual(['one']);
    expect(clock.timers).toBe(0);
  });
});
