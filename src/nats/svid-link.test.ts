import { expect, it, onTestFinished } from 'vitest';
import { launchDomainNats, NatsDomain, natsIdOf } from '../../test/fakes/nats-domain.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { launchNatsServer } from '../../test/programs/launch-nats-server.ts';
import { createMetrics, silentLog, systemClock } from '../ops/index.ts';
import { type Bundle, type Clock, SpiffeId, type Timer } from '../spiffe/index.ts';
import { connectNats, type NatsIdentity, type NatsOptions, openNats } from './index.ts';

/** The machine's time, with timers that a test fires when it wants. */
class HeldTimers implements Clock {
  readonly #held = new Set<() => void>();

  now(): number {
    return systemClock.now();
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    if (delayMs !== 15_000) return systemClock.setTimer(delayMs, fire);
    this.#held.add(fire);
    return { cancel: () => void this.#held.delete(fire) };
  }

  fire(): void {
    const held = [...this.#held];
    this.#held.clear();
    for (const fire of held) fire();
  }
}

function optionsFor(
  url: string,
  identity: () => NatsIdentity | undefined,
  serverId: SpiffeId,
  bundle: () => Bundle,
  clock: Clock = systemClock,
): NatsOptions {
  const tls = { identity, server: { serverId, bundle } };
  const common = { log: silentLog, metrics: createMetrics(), clock };
  return { servers: [url], purpose: 'test', name: 'here', tls, ...common };
}

it('believes a nats-server by its SPIFFE ID below the bundle, and no other', async () => {
  const [a, b] = [await NatsDomain.create('a.test'), await NatsDomain.create('b.test')];
  await using server = await launchDomainNats(a, { federated: [b] });
  const identity = await a.issue('/web');
  const dial = (serverId: SpiffeId, bundle: Bundle) =>
    connectNats(
      optionsFor(
        server.url,
        () => identity,
        serverId,
        () => bundle,
      ),
      500,
    );
  const link = await dial(natsIdOf(a), a.bundle);
  onTestFinished(() => link.close());
  await expect(dial(SpiffeId.of(a.trustDomain, '/other'), a.bundle)).rejects.toMatchObject({
    code: 'ERR_NATS_UNREACHABLE',
    message: expect.stringContaining(
      'the nats-server should be spiffe://a.test/other; it is spiffe://a.test/nats',
    ),
  });
  const unreachable = { code: 'ERR_NATS_UNREACHABLE' };
  await expect(dial(natsIdOf(a), b.bundle)).rejects.toMatchObject(unreachable);
  const nobody = { ...a.bundle, x509Authorities: [] };
  await expect(dial(natsIdOf(a), nobody)).rejects.toMatchObject(unreachable);
  // Below the authority of another domain that the nats-server presents an SVID of.
  await server.present(await b.issue(natsIdOf(a).toString(), ['localhost']), [b]);
  await server.reload();
  await expect(dial(natsIdOf(a), a.bundle)).rejects.toMatchObject(unreachable);
});

it('is not talked into plaintext', async () => {
  const a = await NatsDomain.create('a.test');
  await using server = await launchNatsServer();
  const identity = await a.issue('/web');
  const options = optionsFor(
    server.url,
    () => identity,
    natsIdOf(a),
    () => a.bundle,
  );
  await expect(connectNats(options, 500)).rejects.toMatchObject({
    message: expect.stringMatching(/^no connection to NATS at .*: server does not support 'tls'$/u),
  });
});

it('connects anew with a renewed identity, and keeps its subscriptions', async () => {
  const a = await NatsDomain.create('a.test');
  await using server = await launchDomainNats(a, { monitor: '127.0.0.1:0' });
  const clock = new HeldTimers();
  let identity = await a.issue('/web');
  const options = optionsFor(
    server.url,
    () => identity,
    natsIdOf(a),
    () => a.bundle,
    clock,
  );
  const link = await connectNats(options);
  onTestFinished(() => link.close());
  const heard = link.connection.subscribe('trustplane.v1.bundle.>')[Symbol.asyncIterator]();
  const seen: boolean[] = [];
  link.watch((isConnected) => void seen.push(isConnected));
  clock.fire();
  await link.connection.flush();
  expect(seen).toEqual([]);
  identity = await a.issue('/web');
  clock.fire();
  await eventually('it is connected again', () => seen.length === 2 || undefined);
  expect(seen).toEqual([false, true]);
  const server2 = await a.issue('/spire/server');
  const publishing: NatsOptions = {
    ...optionsFor(
      server.url,
      () => server2,
      natsIdOf(a),
      () => a.bundle,
    ),
    login: 'certificate',
  };
  const publisher = await connectNats(publishing);
  onTestFinished(() => publisher.close());
  await link.connection.flush();
  publisher.connection.publish('trustplane.v1.bundle.a.test', 'new');
  expect((await heard.next()).value?.string()).toBe('new');
});

it('stays connected when its identity is over and there is no other one', async () => {
  const a = await NatsDomain.create('a.test');
  await using server = await launchDomainNats(a);
  const clock = new HeldTimers();
  let identity: NatsIdentity | undefined = await a.issue('/web');
  const options = optionsFor(
    server.url,
    () => identity,
    natsIdOf(a),
    () => a.bundle,
    clock,
  );
  const link = await connectNats(options);
  onTestFinished(() => link.close());
  const seen: boolean[] = [];
  link.watch((isConnected) => void seen.push(isConnected));
  identity = undefined;
  clock.fire();
  await link.connection.flush();
  await link.connection.flush();
  expect([seen, link.isConnected]).toEqual([[], true]);
  identity = await a.issue('/web');
  clock.fire();
  await eventually('it is connected anew', () => seen.length === 2 || undefined);
});

it('waits for an identity', async () => {
  const a = await NatsDomain.create('a.test');
  await using server = await launchDomainNats(a);
  let identity: NatsIdentity | undefined;
  const asked = Promise.withResolvers<undefined>();
  const options = optionsFor(
    server.url,
    () => {
      asked.resolve(undefined);
      if (identity === undefined) throw new Error('there is none yet');
      return identity;
    },
    natsIdOf(a),
    () => a.bundle,
  );
  const link = openNats(options);
  onTestFinished(() => link.close());
  await asked.promise;
  identity = await a.issue('/web');
  expect((await link.connected()).isClosed()).toBe(false);
});
