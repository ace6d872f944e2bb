import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { FakeWorkloadSource } from '../../test/fakes/fake-workload-source.ts';
import { SdsClient } from '../../test/fakes/sds-client.ts';
import { textBundle, textIdentity, textUpdate } from '../../test/fakes/test-updates.ts';
import { createLog, createMetrics, type Metrics } from '../ops/index.ts';
import { TrustDomain } from '../spiffe/index.ts';
import { type PeerProcess, serveUnix, type UnixServer } from '../wire/index.ts';
import { createSds, createSecretType, defaultSdsNames } from './index.ts';
import { SECRET_TYPE_URL } from './secret-messages.ts';

const a = textBundle('a.test', ['ca a']);
const b = textBundle('b.test', ['ca b']);
const web = (serial: number) =>
  textIdentity('/web', serial, { federatesWith: [TrustDomain.parse('b.test')] });
const webText = (serial: number) => `leaf /web ${serial} + intermediate, key /web ${serial}`;

let folder: string;
let server: UnixServer;
let source: FakeWorkloadSource<PeerProcess>;
let metrics: Metrics;
let clock: FakeClock;
let logged: Record<string, unknown>[];

async function serve(disableSpiffeCertValidation: boolean = false): Promise<void> {
  source = new FakeWorkloadSource(textUpdate([web(1)], [a, b]));
  metrics = createMetrics();
  clock = new FakeClock();
  logged = [];
  const destination = { write: (line: string) => void logged.push(JSON.parse(line)) };
  const log = createLog({ level: 'info', destination });
  const secrets = createSecretType({
    names: defaultSdsNames,
    disableSpiffeCertValidation,
    unmatchableCa: Buffer.from('nothing'),
    log,
    metrics,
  });
  const sds = createSds(secrets, { source, clock, log, metrics });
  const path = join(folder, 'sds.sock');
  server = await serveUnix({ path, mode: 0o600, services: [sds], log, metrics });
}

function connect(): SdsClient {
  const client = new SdsClient(server.path);
  onTestFinished(() => client.close());
  return client;
}

async function metric(name: string): Promise<number> {
  const line = (await metrics.render()).split('\n').find((text) => text.startsWith(`${name} `));
  return Number(line?.split(' ').at(-1) ?? 0);
}

/** Turns the event loop until `isTrue`; the test's own timeout ends it otherwise. */
async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await settle();
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sds-'));
  await serve();
});

afterEach(async () => {
  await server.close(0);
  await rm(folder, { recursive: true });
});

describe('StreamSecrets', () => {
  it('serves any mix of names on one stream, and their changes (SDS-1, SDS-11)', async () => {
    const stream = connect().sotw();
    const names = ['spiffe://a.test/web', 'default', 'spiffe://b.test', 'ROOTCA', 'ALL', 'later'];
    stream.send({ resource_names: names, type_url: SECRET_TYPE_URL });
    const first = await stream.next();
    expect(first).toMatchObject({ typeUrl: SECRET_TYPE_URL, nonce: '1' });
    expect(first.secrets.map(({ name, text }) => [name, text])).toEqual([
      ['spiffe://a.test/web', webText(1)],
      ['default', webText(1)],
      ['spiffe://b.test', 'b.test: ca b'],
      ['ROOTCA', 'a.test: ca a'],
      ['ALL', 'a.test: ca a; b.test: ca b'],
    ]);
    expect(await metric('trustplane_sds_waiting_names')).toBe(1);
    stream.send({ resource_names: names, response_nonce: '1', version_info: first.version });
    source.publish(textUpdate([web(2)], [a, b]));
    const second = await stream.next();
    expect(second.secrets.map(({ name, text }) => [name, text])).toEqual([
      ['spiffe://a.test/web', webText(2)],
      ['default', webText(2)],
    ]);
    await until(async () => (await metric('trustplane_sds_ack_seconds_count')) === 1);
    expect(await metric('trustplane_sds_acks_total{resource="validation_context"}')).toBe(3);
  });

  it('serves everything the caller may have to a client that names nothing', async () => {
    const stream = connect().sotw();
    stream.send({});
    const { secrets } = await stream.next();
    expect(secrets.map(({ name }) => name)).toEqual([
      'spiffe://a.test/web',
      'spiffe://a.test',
      'spiffe://b.test',
    ]);
  });

  it('serves a name the moment its entry exists, on the same stream (SDS-9)', async () => {
    source.publish(textUpdate([], [a]));
    const stream = connect().sotw();
    stream.send({ resource_names: ['default', 'ROOTCA'] });
    await until(async () => (await metric('trustplane_sds_waiting_names')) === 2);
    source.publish(textUpdate([web(1)], [a]));
    const { secrets } = await stream.next();
    expect(secrets.map(({ text }) => text)).toEqual([webText(1), 'a.test: ca a']);
  });

  it('counts refusals, says why once however many streams refuse, and sends no more (SDS-4)', async () => {
    const client = connect();
    const streams = [client.sotw(), client.sotw()];
    for (const stream of streams) {
      stream.send({ node: { id: 'envoy\n1' }, resource_names: ['default'] });
      const { nonce } = await stream.next();
      const error_detail = { code: 13, message: `bad key\u001b[31m${'x'.repeat(2000)}` };
      stream.send({ resource_names: ['default'], response_nonce: nonce, error_detail });
    }
    const count = 'trustplane_sds_nacks_total{resource="tls_certificate"}';
    await until(async () => (await metric(count)) === 2);
    const refusals = logged.filter(({ reason }) => reason !== undefined);
    expect(refusals).toMatchObject([
      { node: 'envoy\\u{a}1', resourceName: 'default', resource: 'tls_certificate' },
    ]);
    expect(refusals[0]?.['reason']).toMatch(/^bad key\\u\{1b\}\[31mx{400,500}…$/u);
    expect(JSON.stringify(logged)).not.toContain('key /web');
    source.publish(textUpdate([web(1)], [a, b]));
    source.publish(textUpdate([web(2)], [a, b]));
    expect((await streams[0]?.next())?.secrets).toMatchObject([{ text: webText(2) }]);
  });

  it('serves the calling process, whatever its node says (SDS-22)', async () => {
    const stream = connect().sotw();
    stream.send({ node: { id: 'spiffe://a.test/admin' }, resource_names: ['default'] });
    await stream.next();
    expect(source.peers.map(({ pid, uid }) => [pid, uid])).toEqual([
      [process.pid, process.getuid?.()],
    ]);
  });

  it('warns once that plain validation contexts are served', async () => {
    const fields = { disable_spiffe_cert_validation: { boolValue: true } };
    for (const stream of [connect().sotw(), connect().sotw()]) {
      stream.send({ node: { metadata: { fields } }, resource_names: ['ROOTCA'] });
      await stream.next();
    }
    expect(logged.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });

  it('hears of the node once and keeps to it (SDS-7, SDS-18)', async () => {
    const stream = connect().sotw();
    const fields = { disable_spiffe_cert_validation: { boolValue: true } };
    stream.send({ node: { metadata: { fields } }, resource_names: ['ROOTCA'] });
    expect((await stream.next()).secrets).toMatchObject([{ text: 'spiffe://a.test/: ca a' }]);
    source.publish(textUpdate([web(1)], [textBundle('a.test', ['ca a', 'ca a2'])]));
    stream.send({ node: {}, resource_names: ['ROOTCA'], response_nonce: '1' });
    expect((await stream.next()).secrets).toMatchObject([
      { text: 'spiffe://a.test/: ca a + ca a2' },
    ]);
  });

  it('sends a slow client the latest and queues nothing else (SDS-24)', async () => {
    const stream = connect().sotw();
    stream.call.pause();
    stream.send({ resource_names: ['default'] });
    const big = 'x'.repeat(50_000);
    for (let serial = 1; serial <= 200; serial++) {
      source.publish(
        textUpdate([
          textIdentity(`/${serial}`, serial, { hint: big, privateKey: Buffer.from(big) }),
        ]),
      );
      await settle();
    }
    const sent = 'trustplane_sds_resources_total{resource="tls_certificate"}';
    expect(await metric(sent)).toBeLessThan(20);
    stream.call.resume();
    for (;;) {
      const [secret] = (await stream.next()).secrets;
      if (secret?.text.startsWith('leaf /200 200') === true) break;
    }
    expect(await metric(sent)).toBeLessThan(20);
  });

  it('takes requests no faster than 100 a second', async () => {
    const stream = connect().sotw();
    for (let i = 0; i < 150; i++) stream.send({ resource_names: [`name ${i}`] });
    stream.send({ resource_names: ['default'] });
    await until(() => clock.timers === 1);
    await settle();
    expect(stream.pending).toBe(0);
    clock.advance(1000);
    expect((await stream.next()).secrets).toMatchObject([{ name: 'default' }]);
  });

  it('ends with PermissionDenied when the process is gone', async () => {
    const stream = connect().sotw();
    stream.send({ resource_names: ['default'] });
    await stream.next();
    source.loseAll(new Error('process 7 exited'));
    expect(await stream.ended).toMatchObject({
      code: status.PERMISSION_DENIED,
      details: expect.stringContaining('process 7 exited'),
    });
  });

  it('attests the caller again before it answers a later request, not for an acknowledgement', async () => {
    const stream = connect().sotw();
    stream.send({ resource_names: ['default'] });
    await stream.next();
    const attach = vi.spyOn(source, 'attach').mockImplementation((_peer, listener) => {
      queueMicrotask(() => listener.onGone(new Error('process 7 is another now')));
      return { close: () => {} };
    });
    stream.send({ resource_names: ['default'], response_nonce: '1' });
    const acked = 'trustplane_sds_acks_total{resource="tls_certificate"}';
    await until(async () => (await metric(acked)) === 1);
    expect(attach).not.toHaveBeenCalled();
    stream.send({ resource_names: ['default', 'ROOTCA'], response_nonce: '1' });
    expect(await stream.ended).toMatchObject({ code: status.PERMISSION_DENIED });
    expect(stream.pending).toBe(0);
  });

  it('attests the caller again before a slow client gets what waited for it', async () => {
    const stream = connect().sotw();
    stream.call.pause();
    stream.send({ resource_names: ['default'] });
    await until(() => source.attached === 1);
    const attach = vi.spyOn(source, 'attach');
    for (let serial = 1; serial <= 50; serial++) {
      const privateKey = Buffer.alloc(50_000, 'x');
      source.publish(textUpdate([textIdentity('/web', serial, { privateKey })]));
      await settle();
    }
    attach.mockImplementation((_peer, listener) => {
      queueMicrotask(() => listener.onGone(new Error('process 7 is another now')));
      return { close: () => {} };
    });
    stream.call.resume();
    expect(await stream.ended).toMatchObject({ code: status.PERMISSION_DENIED });
  });

  it('leaves nothing behind of 500 streams, however they end', async () => {
    const clients = Array.from({ length: 5 }, connect);
    const streams = Array.from({ length: 50 }).flatMap(() =>
      clients.flatMap((client) => [client.sotw(), client.delta()]),
    );
    for (const stream of streams) stream.send({});
    await Promise.all(streams.map((stream) => stream.next()));
    expect(source.attached).toBe(500);
    streams.forEach((stream, i) => {
      if (i % 3 === 0) stream.call.cancel();
      else if (i % 3 === 1) stream.call.end();
      else stream.sendBytes(Buffer.from('not protobuf'));
    });
    await Promise.all(streams.map((stream) => stream.ended));
    await until(() => source.attached === 0);
    expect(await metric('trustplane_sds_streams{kind="sotw"}')).toBe(0);
    expect(await metric('trustplane_sds_streams{kind="delta"}')).toBe(0);
    expect(await metric('trustplane_sds_waiting_names')).toBe(0);
    expect(clock.timers).toBe(0);
  });
});

describe('DeltaSecrets', () => {
  it('serves names, changes, and removals of what it served (SDS-1, SDS-12)', async () => {
    const stream = connect().delta();
    stream.send({ resource_names_subscribe: ['default', 'spiffe://b.test', 'later'] });
    const first = await stream.next();
    expect(first.secrets.map(({ name, text }) => [name, text])).toEqual([
      ['default', webText(1)],
      ['spiffe://b.test', 'b.test: ca b'],
    ]);
    stream.send({ response_nonce: first.nonce });
    source.publish(textUpdate([], [a]));
    expect((await stream.next()).secrets).toMatchObject([
      { name: 'spiffe://b.test', text: 'b.test: nothing' },
    ]);
    expect(await stream.next()).toMatchObject({ secrets: [], removed: ['default'] });
  });

  it('leaves out what the client holds (SDS-12)', async () => {
    const client = connect();
    const earlier = client.delta();
    earlier.send({ resource_names_subscribe: ['default', 'ALL'] });
    const held = (await earlier.next()).secrets;
    const stream = client.delta();
    stream.send({
      resource_names_subscribe: ['default', 'ALL', 'ROOTCA'],
      initial_resource_versions: Object.fromEntries(
        held.map(({ name, version }) => [name, version]),
      ),
    });
    expect((await stream.next()).secrets).toMatchObject([{ name: 'ROOTCA' }]);
  });

  it('gives each stream its own content, however close the writes', async () => {
    const client = connect();
    const names = ['default', 'ROOTCA', 'ALL', 'spiffe://a.test', 'spiffe://b.test'];
    const streams = Array.from({ length: 50 }, (_, i) => ({
      name: names[i % names.length] ?? '',
      stream: client.delta(),
    }));
    for (const { name, stream } of streams) stream.send({ resource_names_subscribe: [name] });
    await Promise.all(streams.map(({ stream }) => stream.next()));
    source.publish(
      textUpdate([web(2)], [textBundle('a.test', ['a2']), textBundle('b.test', ['b2'])]),
    );
    const expected = new Map([
      ['default', webText(2)],
      ['ROOTCA', 'a.test: a2'],
      ['ALL', 'a.test: a2; b.test: b2'],
      ['spiffe://a.test', 'a.test: a2'],
      ['spiffe://b.test', 'b.test: b2'],
    ]);
    const got = await Promise.all(streams.map(({ stream }) => stream.next()));
    expect(got.map(({ secrets: [secret] }) => secret?.text)).toEqual(
      streams.map(({ name }) => expected.get(name)),
    );
  });

  it('bounds what one stream may ask for, however slowly', async () => {
    const stream = connect().delta();
    for (let i = 0; i < 11; i++) {
      const names = Array.from({ length: 100 }, (_, j) => `name ${i} ${j}`);
      stream.send({ resource_names_subscribe: names });
    }
    expect(await stream.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });
});

describe('FetchSecrets', () => {
  it('answers at once with what exists (SDS-1)', async () => {
    const { secrets } = await connect().fetch({ resource_names: ['default', 'later', 'ALL'] });
    expect(secrets.map(({ name }) => name)).toEqual(['default', 'ALL']);
    expect(source.attached).toBe(0);
  });

  it('says NotFound when nothing does', async () => {
    const asked = connect().fetch({ resource_names: ['later'], version_info: '1' });
    await expect(asked).rejects.toMatchObject({ code: status.NOT_FOUND });
    expect(source.attached).toBe(0);
  });

  it('refuses another type and what is no request', async () => {
    const asked = connect().fetch({ type_url: 'type.googleapis.com/envoy.Listener' });
    await expect(asked).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});

describe('modes', () => {
  const fetchRoot = async (node: object) =>
    (await connect().fetch({ resource_names: ['ROOTCA'], node })).secrets[0]?.text;
  const disabled = (value: object) => ({
    metadata: { fields: { disable_spiffe_cert_validation: value, other: { numberValue: 1 } } },
  });
  const envoy = (minor_number: number) => ({
    user_agent_name: 'envoy',
    user_agent_build_version: { version: { major_number: 1, minor_number } },
  });
  const spiffe = 'a.test: ca a';
  const plain = 'spiffe://a.test/: ca a';

  it.each([
    [{}, spiffe],
    [disabled({ boolValue: true }), plain],
    [disabled({ stringValue: 'true' }), plain],
    [disabled({ stringValue: 'false' }), spiffe],
    [envoy(17), plain],
    [envoy(18), spiffe],
    [{ ...envoy(17), ...disabled({ boolValue: false }) }, spiffe],
  ])('by default: %j', async (node, text) => {
    expect(await fetchRoot(node)).toBe(text);
  });

  it('let node metadata overrule the configuration both ways (SDS-18)', async () => {
    await server.close(0);
    await serve(true);
    expect(await fetchRoot({})).toBe(plain);
    expect(await fetchRoot(envoy(40))).toBe(plain);
    expect(await fetchRoot(disabled({ boolValue: false }))).toBe(spiffe);
  });

  it.each([{ numberValue: 1 }, { stringValue: 'yes' }, {}])('refuse %j', async (value) => {
    await expect(fetchRoot(disabled(value))).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('disable_spiffe_cert_validation'),
    });
  });
});

describe('bad requests', () => {
  it.each(['sotw', 'delta'] as const)(
    '%s: another type is named, with the one served (SDS-2)',
    async (kind) => {
      const stream = connect()[kind]();
      stream.send({ type_url: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' });
      expect(await stream.ended).toMatchObject({
        code: status.INVALID_ARGUMENT,
        details: expect.stringContaining(SECRET_TYPE_URL),
      });
    },
  );

  it.each(['sotw', 'delta'] as const)('%s: end their stream and no other', async (kind) => {
    const client = connect();
    const good = client[kind]();
    good.send({});
    await good.next();
    const bad = client[kind]();
    bad.sendBytes(Buffer.from([0x1a, 0xff, 0xff, 0xff]));
    expect(await bad.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
    source.publish(textUpdate([web(2)], [a, b]));
    expect((await good.next()).secrets).toMatchObject([{ text: webText(2) }]);
  });

  it.each([
    ['names', { resource_names: Array.from({ length: 1001 }, (_, i) => `${i}`) }],
    [
      'bytes of names',
      { resource_names: Array.from({ length: 70 }, (_, i) => `${i}`.padEnd(2000)) },
    ],
    ['a long name', { resource_names: [`spiffe://a.test/${'x'.repeat(2048)}`] }],
    ['bytes', { node: { id: 'x'.repeat(1024 * 1024) } }],
  ])('are bounded: %s', async (_what, request) => {
    const stream = connect().sotw();
    stream.send(request);
    expect(await stream.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });
});
