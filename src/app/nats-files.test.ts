import { readFile, stat } from 'node:fs/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import {
  type DomainNatsServer,
  launchDomainNats,
  NatsDomain,
  natsIdOf,
} from '../../test/fakes/nats-domain.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { findNatsServer } from '../../test/programs/find-nats-server.ts';
import { freePorts } from '../../test/programs/free-ports.ts';
import { runProgram } from '../../test/programs/run-program.ts';
import { connectNats, type NatsIdentity } from '../nats/index.ts';
import { createMetrics, silentLog, systemClock } from '../ops/index.ts';
import { SpiffeId } from '../spiffe/index.ts';

const STREAM = 'TRUSTPLANE_BUNDLES';
const A = 'trustplane.v1.bundle.a.test';
const B = 'trustplane.v1.bundle.b.test';

let a: NatsDomain;
let b: NatsDomain;
beforeAll(async () => {
  a = await NatsDomain.create('a.test');
  b = await NatsDomain.create('b.test');
});

/** A connection of whoever has the identity; a publisher says that its certificate is to be looked at. */
async function dial(
  server: DomainNatsServer,
  serverOf: NatsDomain,
  identity: NatsIdentity | undefined,
  role: 'reader' | 'publisher' = 'reader',
): Promise<NatsConnection> {
  const link = await connectNats(
    {
      servers: [server.url],
      purpose: 'test',
      name: role,
      tls: {
        identity: () => identity,
        server: { serverId: natsIdOf(serverOf), bundle: () => serverOf.bundle },
      },
      login: role === 'publisher' ? 'certificate' : undefined,
      clock: systemClock,
      log: silentLog,
      metrics: createMetrics(),
    },
    1_000,
  );
  onTestFinished(() => link.close());
  return link.connection;
}

/** Publishes and reads as servers do. */
async function openStream(connection: NatsConnection): Promise<void> {
  const manager = await jetstreamManager(connection, { checkAPI: false });
  await manager.streams.add({
    name: STREAM,
    subjects: ['trustplane.v1.>'],
    max_msgs_per_subject: 1,
    allow_direct: true,
  });
}

async function latest(connection: NatsConnection, subject: string): Promise<string> {
  const place = `$JS.API.DIRECT.GET.${STREAM}.${subject}`;
  const { headers, data } = await connection.request(place, undefined, { timeout: 2_000 });
  return headers?.code === 404 ? 'none' : new TextDecoder().decode(data);
}

/** What the nats-server refuses of what is done, as it says. */
async function refusal(connection: NatsConnection, act: () => void): Promise<string> {
  const statuses = connection.status()[Symbol.asyncIterator]();
  act();
  await connection.flush();
  for (;;) {
    const { value } = await statuses.next();
    if (value?.type === 'error') return value.error.message;
  }
}

it('is a configuration that nats-server takes, without a secret, written whole', async () => {
  await using server = await launchDomainNats(a, {
    monitor: '127.0.0.1:0',
    leaf: { listen: '127.0.0.1:0', nodes: [natsIdOf(b)] },
    leafRemotes: ['nats.c.test:7422'],
    publishers: [
      SpiffeId.of(a.trustDomain, '/spire/server'),
      SpiffeId.of(b.trustDomain, '/spire/server'),
    ],
  });
  const { file } = await findNatsServer();
  const checked = await runProgram(file, ['-t', '-c', server.configFile]);
  expect([checked.code, checked.stderr]).toEqual([0, expect.stringContaining('is valid')]);
  expect((await stat(server.configFile)).mode & 0o777).toBe(0o644);
  expect(await readFile(server.configFile, 'utf8')).not.toMatch(/PRIVATE|"S[A-Z2-7]{57}"/u);
});

it('lets its servers publish, and whoever has an SVID of this or a federated domain read', async () => {
  await using server = await launchDomainNats(a, { federated: [b] });
  const publisher = await dial(server, a, await a.issue('/spire/server'), 'publisher');
  await openStream(publisher);
  const readers = [await a.issue('/spire/agent/x/1'), await b.issue('/web')];
  for (const identity of readers) {
    const reader = await dial(server, a, identity);
    const heard = reader.subscribe(A)[Symbol.asyncIterator]();
    await reader.flush();
    expect((await jetstream(publisher).publish(A, 'one')).stream).toBe(STREAM);
    expect((await heard.next()).value?.string()).toBe('one');
    expect(await latest(reader, A)).toBe('one');
    expect(await latest(reader, B)).toBe('none');
  }
});

it('refuses whoever has no SVID, or one of a domain that is not federated', async () => {
  await using server = await launchDomainNats(a);
  const refused = { code: 'ERR_NATS_UNREACHABLE' };
  await expect(dial(server, a, undefined)).rejects.toMatchObject(refused);
  await expect(dial(server, a, await b.issue('/web'))).rejects.toMatchObject(refused);
});

it('lets readers publish nothing and subscribe to nothing else', async () => {
  await using server = await launchDomainNats(a, { federated: [b] });
  const publisher = await dial(server, a, await a.issue('/spire/server'), 'publisher');
  await openStream(publisher);
  await jetstream(publisher).publish(A, 'one');
  // The certificate of a publisher that does not say so makes a reader, too.
  const reader = await dial(server, a, await a.issue('/spire/server'));
  for (const subject of [A, 'trustplane.v1.ack.a~test.b.test', `$JS.API.STREAM.PURGE.${STREAM}`]) {
    expect(await refusal(reader, () => reader.publish(subject, 'forged'))).toBe(
      `Permissions Violation for Publish to "${subject}"`,
    );
  }
  for (const subject of ['>', '$SYS.>', 'trustplane.v1.relay.b~test.>', 'trustplane.v1.>']) {
    expect(await refusal(reader, () => void reader.subscribe(subject))).toBe(
      `Permissions Violation for Subscription to "${subject}"`,
    );
  }
  expect(await latest(reader, A)).toBe('one');
});

it('stores no answer that a reader asks to be sent where bundles are published', async () => {
  await using server = await launchDomainNats(a, { federated: [b] });
  const publisher = await dial(server, a, await a.issue('/spire/server'), 'publisher');
  await openStream(publisher);
  await jetstream(publisher).publish(A, 'one');
  const reader = await dial(server, a, await b.issue('/web'));
  const place = `$JS.API.DIRECT.GET.${STREAM}.${A}`;
  const answers = reader.subscribe(B)[Symbol.asyncIterator]();
  reader.publish(place, '', { reply: B });
  expect((await answers.next()).value?.string()).toBe('one');
  expect(await latest(reader, B)).toBe('none');
});

it('lets a publisher speak for its own domain alone, and neither change nor empty the stream', async () => {
  await using server = await launchDomainNats(a, { federated: [b] });
  const publisher = await dial(server, a, await a.issue('/spire/server'), 'publisher');
  await openStream(publisher);
  for (const subject of [
    B,
    'trustplane.v1.relay.b~test.a.test',
    'trustplane.v1.ack.b~test.c.test',
    `$JS.API.STREAM.PURGE.${STREAM}`,
    `$JS.API.STREAM.UPDATE.${STREAM}`,
    `$JS.API.STREAM.DELETE.${STREAM}`,
    `$JS.API.STREAM.MSG.DELETE.${STREAM}`,
    '$JS.API.STREAM.CREATE.OTHER',
  ]) {
    expect(await refusal(publisher, () => publisher.publish(subject, ''))).toBe(
      `Permissions Violation for Publish to "${subject}"`,
    );
  }
  // Who is not listed is nobody, whatever is said.
  const stranger = dial(server, a, await a.issue('/web'), 'publisher');
  await expect(stranger).rejects.toMatchObject({ code: 'ERR_NATS_UNREACHABLE' });
});

it('presents a renewed SVID and believes another domain from a reload on', async () => {
  await using server = await launchDomainNats(a);
  const identity = await b.issue('/web');
  await expect(dial(server, a, identity)).rejects.toMatchObject({ code: 'ERR_NATS_UNREACHABLE' });
  const reader = await dial(server, a, await a.issue('/web'));
  await server.present(await a.issue('/nats', ['localhost']), [b]);
  await server.reload();
  expect((await dial(server, a, identity)).isClosed()).toBe(false);
  await reader.flush();
});

it('is one with others of its cluster, who must be nats-servers of its own domain', async () => {
  const routePorts = await freePorts(3);
  const routes = routePorts.map((port) => `localhost:${port}`);
  const cluster = (n: number) => ({ name: 'a', listen: `127.0.0.1:${routePorts[n]}`, routes });
  await using one = await launchDomainNats(a, { cluster: cluster(0), federated: [b] });
  await using two = await launchDomainNats(a, { cluster: cluster(1), federated: [b] });
  await using three = await launchDomainNats(a, { cluster: cluster(2), federated: [b] });
  await Promise.all([one, two, three].map((each) => each.line(/new .*metadata leader/)));
  const publisher = await dial(one, a, await a.issue('/spire/server'), 'publisher');
  const reader = await dial(three, a, await a.issue('/web'));
  const heard = reader.subscribe(A)[Symbol.asyncIterator]();
  await reader.flush();
  await openStream(publisher);
  await jetstream(publisher).publish(A, 'one');
  expect((await heard.next()).value?.string()).toBe('one');
  expect(await latest(reader, A)).toBe('one');
  // One that says it belongs to them, with an SVID of the federated domain, or of another workload.
  for (const identity of [
    await b.issue(natsIdOf(a).toString(), ['localhost']),
    await a.issue('/web', ['localhost']),
  ]) {
    await two.present(identity, [b]);
    await two.stop();
    await two.start();
    await one.line(
      /(certificate signed by unknown authority|Authentication (Failure|error)|authentication error)/i,
    );
  }
});

it('carries bundles over a leaf node between two domains, for those who come late as well', async () => {
  const [leafPort = 0] = await freePorts(1);
  await using hub = await launchDomainNats(a, {
    federated: [b],
    leaf: { listen: `127.0.0.1:${leafPort}`, nodes: [natsIdOf(b)] },
  });
  await using leaf = await launchDomainNats(b, {
    federated: [a],
    leafRemotes: [`localhost:${leafPort}`],
  });
  await leaf.line(/Leafnode connection created for account: BUNDLES/);
  const atHub = await dial(hub, a, await a.issue('/spire/server'), 'publisher');
  const atLeaf = await dial(leaf, b, await b.issue('/spire/server'), 'publisher');
  await openStream(atHub);
  await openStream(atLeaf);
  const readers = [
    await dial(hub, a, await a.issue('/web')),
    await dial(leaf, b, await b.issue('/web')),
  ];
  const all = await eventually('both sides store what is published on the other', async () => {
    await jetstream(atHub).publish(A, 'of a');
    await jetstream(atLeaf).publish(B, 'of b');
    const each = await Promise.all(readers.flatMap((one) => [latest(one, A), latest(one, B)]));
    return each.includes('none') ? undefined : each;
  });
  expect(all).toEqual(['of a', 'of b', 'of a', 'of b']);
});

it('lets a leaf node in, and is let in as one, with what a reload brought', async () => {
  const [leafPort = 0] = await freePorts(1);
  const nodes = [natsIdOf(b)];
  await using hub = await launchDomainNats(a, {
    leaf: { listen: `127.0.0.1:${leafPort}`, nodes },
  });
  await using leaf = await launchDomainNats(b, {
    federated: [a],
    leafRemotes: [`localhost:${leafPort}`],
  });
  await hub.line(/unknown authority/);
  await leaf.present(await b.issue('/other', ['localhost']), [a]);
  await leaf.reload();
  await hub.present(await a.issue('/nats', ['localhost']), [b]);
  await hub.reload();
  await hub.line(/authentication error/i);
  await leaf.present(await b.issue('/nats', ['localhost']), [a]);
  await leaf.reload();
  expect(await hub.line(/Leafnode connection created/)).toContain('lid');
});

it('lets another in its cluster with what a reload brought', async () => {
  const ports = await freePorts(2);
  const routes = ports.map((port) => `localhost:${port}`);
  const cluster = (n: number) => ({ name: 'a', listen: `127.0.0.1:${ports[n]}`, routes });
  await using one = await launchDomainNats(a, { cluster: cluster(0) });
  await one.present(await a.issue('/other', ['localhost']), []);
  await one.reload();
  await using two = await launchDomainNats(a, { cluster: cluster(1) });
  await two.line(/authentication error/i);
  await one.present(await a.issue('/nats', ['localhost']), []);
  await one.reload();
  expect(await one.line(/JetStream cluster new metadata leader|Self is new/)).toContain('leader');
});
