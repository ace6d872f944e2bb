import { connect, type NatsConnection } from '@nats-io/transport-node';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type BroadcastDomain,
  type BroadcastDomainOptions,
  openBroadcastDomain,
} from '../../test/fakes/broadcast-domain.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { freePorts } from '../../test/programs/free-ports.ts';
import { launchNatsServer, type NatsServer } from '../../test/programs/launch-nats-server.ts';
import { createMetrics, silentLog, systemClock } from '../ops/index.ts';
import { type Bundle, bundleDigest, generateP256KeyPair, TrustDomain } from '../spiffe/index.ts';
import { interestsOfAgent, serverIdOf } from './bundle-interest.ts';
import { signBundleMessage } from './bundle-message.ts';
import { openBundleSubscriber } from './bundle-subscriber.ts';
import type { MessageSigner } from './signed-message.ts';
import { bundleSubject, relaySubject } from './subjects.ts';

async function nats(options: Parameters<typeof launchNatsServer>[0] = {}): Promise<NatsServer> {
  const server = await launchNatsServer({ jetStream: true, ...options });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

async function domain(
  { url }: Pick<NatsServer, 'url'>,
  name: string,
  more: Partial<BroadcastDomainOptions> = {},
): Promise<BroadcastDomain> {
  const opened = await openBroadcastDomain({ ...more, name, url });
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  await eventually(what, async () => ((await isSo()) ? true : undefined));
}

const sequenceOf = ({ ownBundle }: BroadcastDomain): bigint =>
  ownBundle.current().sequenceNumber ?? 0n;

const sequenceAt = (holder: BroadcastDomain, { trustDomain }: BroadcastDomain): bigint =>
  holder.trust.current().federated.get(trustDomain.name)?.sequenceNumber ?? -1n;

async function arrival(holder: BroadcastDomain, of: BroadcastDomain): Promise<void> {
  const what = `${of.trustDomain.name} at ${holder.trustDomain.name}`;
  await until(what, () => sequenceAt(holder, of) === sequenceOf(of));
}

/** Two domains that trust each other's bundle of now, and have published it. */
async function federated(server: Pick<NatsServer, 'url'>) {
  const [a, b] = [await domain(server, 'a.test'), await domain(server, 'b.test')];
  await Promise.all([a.federate(b), b.federate(a)]);
  for (const each of [a, b]) await until('published', () => each.publisher.fault === undefined);
  return { a, b };
}

/** A stranger on the same NATS. */
async function stranger({ url }: NatsServer): Promise<NatsConnection> {
  const connection = await connect({ servers: url });
  onTestFinished(() => connection.close());
  return connection;
}

/** The SVID of somebody in the domain, or of its server. */
async function svidOf({ publisherCa, trustDomain }: BroadcastDomain): Promise<MessageSigner> {
  const { publicKey, privateKey } = generateP256KeyPair();
  const [authority] = publisherCa.authorities();
  const spiffeId = serverIdOf(trustDomain);
  const request = { spiffeId, publicKey, ttlSeconds: 600, dnsNames: [] };
  const { certificateChain } = await publisherCa.issue(authority?.authorityId ?? '', request);
  return { certificateChain, privateKey };
}

async function signedAs(by: BroadcastDomain, bundle: Bundle): Promise<Uint8Array> {
  const issuedAt = Date.now();
  const signers = [await svidOf(by)];
  return signBundleMessage({ bundle, issuedAt, expiresAt: issuedAt + 600_000, signers });
}

async function refusals({ metrics }: BroadcastDomain): Promise<Record<string, number>> {
  const lines = (await metrics.render()).matchAll(
    /^trustplane_broadcast_refused_total\{kind="(\w+)",reason="([\w-]+)"\} (\d+)$/gmu,
  );
  return Object.fromEntries(
    [...lines].map(([, kind, why, count]) => [`${kind} ${why}`, Number(count)]),
  );
}

async function refused(by: BroadcastDomain, what: string): Promise<void> {
  await until(`refused: ${what}`, async () => ((await refusals(by))[what] ?? 0) > 0);
}

/** Two nats-servers of a cluster each, which gateways join. */
async function gateways(jetStream: boolean): Promise<readonly [NatsServer, NatsServer]> {
  const [west = 0, east = 0, ...routes] = await freePorts(4);
  const remotes = [
    `{ name: west, url: "nats://127.0.0.1:${west}" }`,
    `{ name: east, url: "nats://127.0.0.1:${east}" }`,
  ];
  const start = async (name: string, port: number, route: number) =>
    await nats({
      name,
      jetStream,
      config: `
        cluster { name: ${name}, listen: "127.0.0.1:${route}", routes: ["nats://127.0.0.1:${route}"] }
        gateway { name: ${name}, listen: "127.0.0.1:${port}", gateways: [ ${remotes.join(', ')} ] }`,
    });
  return await Promise.all([
    start('west', west, routes[0] ?? 0),
    start('east', east, routes[1] ?? 0),
  ]);
}

it.each([
  ['JetStream', true],
  ['core NATS', false],
])('comes over gateways of %s, to those who are late too (FED-21)', async (_, jetStream) => {
  const [west, east] = await gateways(jetStream);
  const a = await domain(west, 'a.test');
  const b = await domain(east, 'b.test');
  await Promise.all([a.federate(b), b.federate(a)]);
  for (const each of [a, b]) await until('published', () => each.publisher.fault === undefined);
  await a.ca.prepare();
  await arrival(b, a);
  await b.ca.prepare();
  await arrival(a, b);
  const late = await domain(east, 'c.test');
  await late.federate(a);
  await a.ca.prepare();
  await arrival(late, a);
  expect(late.last(a)).toMatchObject({ via: 'broadcast' });
});

describe.each([
  ['JetStream', true],
  ['core NATS', false],
])('over %s', (_, jetStream) => {
  it('a new authority of one domain comes to the trust map of the other (FED-21)', async () => {
    const { a, b } = await federated(await nats({ jetStream }));
    const prepared = await a.ca.prepare();
    await arrival(b, a);
    expect(b.trust.current().federated.get('a.test')?.x509Authorities).toHaveLength(2);
    await a.ca.activate(prepared.authorityId, { force: true });
    await b.ca.prepare();
    await arrival(a, b);
    expect(b.last(a)).toMatchObject({ sequence: sequenceOf(a), via: 'broadcast' });
    expect(await refusals(b)).toEqual({});
  });

  it('what changed while NATS was away comes when it is back, to those who stayed (FED-21)', async () => {
    const server = await nats({ jetStream });
    const { a, b } = await federated(server);
    await server.kill();
    await until('away', () => !a.link.isConnected && !b.link.isConnected);
    await a.ca.prepare();
    expect(a.publisher.fault).toContain('NATS');
    expect(sequenceAt(b, a)).toBeLessThan(sequenceOf(a));
    await server.start();
    await arrival(b, a);
    await until('published', () => a.publisher.fault === undefined);
  });
});

describe('a receiver', () => {
  it('that missed steps, and one that comes late, get the latest at once', async () => {
    const server = await nats();
    const { a } = await federated(server);
    const early = a.ownBundle.current();
    for (let round = 0; round < 3; round++) {
      const { authorityId } = await a.ca.prepare();
      await a.ca.activate(authorityId, { force: true });
      await until('published', () => a.publisher.fault === undefined);
    }
    const late = await domain(server, 'c.test');
    await late.federate({ ...a, ownBundle: { ...a.ownBundle, current: () => early } });
    await arrival(late, a);
    expect(await refusals(late)).toEqual({});
  });

  it('refuses what is replayed, forged, of another domain, or far ahead, and says why (FED-20, FED-21)', async () => {
    const server = await nats({ config: 'max_payload: 2MB' });
    const { a, b } = await federated(server);
    const connection = await stranger(server);
    const send = (bytes: Uint8Array) => connection.publish(bundleSubject(a.trustDomain), bytes);
    const first = await signedAs(a, a.ownBundle.current());
    await a.ca.prepare();
    await arrival(b, a);
    const held = b.trust.current().federated.get('a.test');
    const next = (more: Partial<Bundle>) => ({ ...a.ownBundle.current(), ...more });
    const sequenceNumber = sequenceOf(a) + 1n;

    send(first);
    await refused(b, 'bundle replay');
    send(await signedAs(b, next({ sequenceNumber })));
    await refused(b, 'bundle publisher');
    send(await signedAs(a, next({ trustDomain: TrustDomain.parse('c.test'), sequenceNumber })));
    await refused(b, 'bundle trust-domain');
    send(await signedAs(a, next({ sequenceNumber: sequenceOf(a) + 2n ** 32n + 1n })));
    await refused(b, 'bundle jump');
    send(await signedAs(a, next({ x509Authorities: [] })));
    await refused(b, 'bundle fork');
    send(Buffer.from('{}'));
    await refused(b, 'bundle format');
    send(Buffer.alloc(1_100_000));
    await refused(b, 'bundle size');
    expect(b.trust.current().federated.get('a.test')).toBe(held);
    // Whoever stole a key does not keep the owner from it.
    await a.ca.activate((await preparedOne(a)).authorityId, { force: true });
    await a.ca.prepare();
    await arrival(b, a);
  });

  it('believes only the publisher of its relationship, and nobody whose bundle it has not', async () => {
    const server = await nats();
    const { a, b } = await federated(server);
    await b.foreignBundles.delete(a.trustDomain);
    await a.ca.prepare();
    await refused(b, 'bundle signature');
    expect(b.trust.current().federated.has('a.test')).toBe(false);
    await b.federate(a);
    await a.ca.activate((await preparedOne(a)).authorityId, { force: true });
    await arrival(b, a);
  });

  it('reads so many messages a second, and then the last one', async () => {
    const server = await nats();
    const { a, b } = await federated(server);
    const connection = await stranger(server);
    for (let n = 0; n < 500; n++) connection.publish(bundleSubject(a.trustDomain), `{"n":${n}}`);
    await a.ca.prepare();
    await refused(b, 'bundle flood');
    await arrival(b, a);
    expect((await refusals(b))['bundle format']).toBeLessThan(200);
  });
});

async function preparedOne({ ca }: BroadcastDomain) {
  const found = ca.status().authorities.find(({ state }) => state === 'prepared');
  return found ?? (await ca.prepare());
}

describe('a publisher', () => {
  it('puts back what somebody else put in its place, for those who come late', async () => {
    const server = await nats();
    const { a } = await federated(server);
    const connection = await stranger(server);
    const subject = bundleSubject(a.trustDomain);
    connection.publish(subject, 'garbage');
    await refused(a, 'own format');
    const place = `$JS.API.DIRECT.GET.TRUSTPLANE_BUNDLES.${subject}`;
    const back = await eventually('put back', async () => {
      const text = Buffer.from((await connection.request(place)).data).toString();
      return text === 'garbage' ? undefined : text;
    });
    expect(Object.keys(JSON.parse(back))).toEqual(['payload', 'signatures']);
  });

  it('says so when NATS takes no message as large', async () => {
    const a = await domain(await nats({ config: 'max_payload: 1KB' }), 'a.test');
    const isTooLarge = /takes messages of at most 1024 bytes/u;
    const fault = await eventually('fault', () => isTooLarge.exec(a.publisher.fault ?? '')?.[0]);
    expect(fault).toMatch(isTooLarge);
  });

  it('is one of several: a server that is new to the bundle leaves it to the others (FED-21)', async () => {
    const server = await nats();
    const { a, b } = await federated(server);
    const second = await domain(server, 'a.test', { store: a.store, serverId: 's2' });
    await arrival(b, a);
    expect(second.ownBundle.current().x509Authorities).toHaveLength(2);
    await second.ca.prepare();
    await arrival(b, second);
    await until('both', () => second.publisher.fault === undefined);
    // Each can go on without the other.
    await a[Symbol.asyncDispose]();
    await second.ca.activate((await preparedOne(second)).authorityId, { force: true });
    await second.ca.prepare();
    await arrival(b, second);
  });

  it('relays to its own domain what it holds of others, with and without NATS to them', async () => {
    const server = await nats();
    const { a, b } = await federated(server);
    const connection = await stranger(server);
    const heard = Promise.withResolvers<string>();
    connection.subscribe(relaySubject(b.trustDomain, a.trustDomain), {
      callback: (_, { data }) => heard.resolve(Buffer.from(data).toString()),
    });
    await connection.flush();
    await a.ca.prepare();
    await arrival(b, a);
    const { payload } = JSON.parse(await heard.promise);
    expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toMatchObject({
      trust_domain: 'a.test',
      sequence: `${sequenceOf(a)}`,
    });
  });

  it('is believed by its agents when it relays, in place of who published (FED-20, FED-21)', async () => {
    const server = await nats();
    const [a, b] = [await domain(server, 'a.test'), await domain(server, 'b.test')];
    const silent = a.ownBundle.current();
    await a.publisher.close();
    await a.ca.prepare();
    const heard: string[] = [];
    let known = silent;
    const agent = openBundleSubscriber({
      clock: systemClock,
      log: silentLog,
      link: b.link,
      metrics: createMetrics(),
      interests: () =>
        interestsOfAgent({
          own: b.ownBundle.current(),
          federated: new Map([['a.test', known]]),
          terms: new Map(),
        }),
      trusted: (of) => (of.equals(b.trustDomain) ? b.ownBundle.current() : known),
      take: (bundle, { via }) => {
        known = bundle;
        heard.push(`${via} ${bundle.sequenceNumber}`);
      },
    });
    onTestFinished(() => agent.close());
    // As if it had been fetched.
    await b.foreignBundles.set(a.ownBundle.current());
    await until('relayed', () => heard.length > 0);
    expect(heard).toEqual([`relay ${sequenceOf(a)}`]);
  });

  it('hears that its peer has its bundle, and who has not (FED-21)', async () => {
    const { a, b } = await federated(await nats());
    const behind = () => a.acks.behind((digest) => digest === bundleDigest(a.ownBundle.current()));
    await a.ca.prepare();
    await arrival(b, a);
    await until('acknowledged', () => behind().length === 0);
    await b.publisher.close();
    await a.ca.activate((await preparedOne(a)).authorityId, { force: true });
    await a.ca.prepare();
    await arrival(b, a);
    expect(behind()).toEqual([{ who: 'the trust domain b.test', why: expect.any(String) }]);
  });

  it('believes what its peer said once it has the bundle to verify it with (FED-21)', async () => {
    const { a, b } = await federated(await nats());
    const behind = () => a.acks.behind((digest) => digest === bundleDigest(a.ownBundle.current()));
    await until('acknowledged', () => behind().length === 0);
    await a.foreignBundles.delete(b.trustDomain);
    await a.ca.prepare();
    await refused(a, 'ack signature');
    expect(behind()).toHaveLength(1);
    await a.foreignBundles.set(b.ownBundle.current());
    await until('believed', () => behind().length === 0);
  });
});
