import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { EcdsClient, type ReceivedResources } from '../../test/fakes/ecds-client.ts';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { FakeExtensions } from '../../test/fakes/fake-extensions.ts';
import { FakeWorkloadSource } from '../../test/fakes/fake-workload-source.ts';
import type { TestStream } from '../../test/fakes/test-stream.ts';
import { textBundle, textIdentity, textUpdate } from '../../test/fakes/test-updates.ts';
import { createLog, createMetrics, type Metrics } from '../ops/index.ts';
import { createSecretType, defaultSdsNames } from '../sds/index.ts';
import { type PeerProcess, serveUnix, type UnixServer } from '../wire/index.ts';
import { createAds } from '../xds/index.ts';
import { createEcds, createExtensionType } from './index.ts';

const EXTENSION_URL = 'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig';
const SECRET_URL = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
const RBAC = 'trustplane.rbac';
const OTHER = 'trustplane.rbac?policy=orders';
const bundle = textBundle('a.test', ['ca a']);
const web = (serial: number = 1) => textUpdate([textIdentity('/web', serial)], [bundle]);
const nobody = textUpdate([], [bundle]);

let folder: string;
let server: UnixServer;
let source: FakeWorkloadSource<PeerProcess>;
let extensions: FakeExtensions;
let metrics: Metrics;
let clock: FakeClock;
let logged: Record<string, unknown>[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ecds-'));
  source = new FakeWorkloadSource(web());
  extensions = new FakeExtensions();
  metrics = createMetrics();
  clock = new FakeClock();
  logged = [];
  const destination = { write: (line: string) => void logged.push(JSON.parse(line)) };
  const ground = { source, clock, log: createLog({ level: 'info', destination }), metrics };
  const type = createExtensionType({ ...ground, extensions });
  const secrets = createSecretType({
    ...ground,
    names: defaultSdsNames,
    disableSpiffeCertValidation: false,
    unmatchableCa: Buffer.from('nothing'),
  });
  const services = [createEcds(type, ground), createAds([secrets, type], ground)];
  const { log } = ground;
  server = await serveUnix({ path: join(folder, 'x.sock'), mode: 0o600, services, log, metrics });
});

afterEach(async () => {
  await server.close(0);
  await rm(folder, { recursive: true });
});

function connect(): EcdsClient {
  const client = new EcdsClient(server.path);
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

/** A stream of either kind that asks for names and answers. */
class Asking {
  readonly stream: TestStream<ReceivedResources>;
  readonly #kind: 'sotw' | 'delta';
  readonly #names: readonly string[];
  readonly #more: object;
  #started = false;

  constructor(kind: 'sotw' | 'delta', names: readonly string[], more: object = {}) {
    this.stream = connect()[kind]();
    this.#kind = kind;
    this.#names = names;
    this.#more = more;
    this.answer({});
  }

  answer(more: object): void {
    const first = this.#started ? {} : this.#more;
    const names =
      this.#kind === 'sotw'
        ? { resource_names: this.#names }
        : this.#started
          ? {}
          : { resource_names_subscribe: this.#names };
    this.#started = true;
    this.stream.send({ ...first, ...names, ...more });
  }

  /** The next response as text, acknowledged or refused. */
  async next(refusal?: string): Promise<string> {
    const response = await this.stream.next();
    const error_detail = refusal === undefined ? undefined : { code: 3, message: refusal };
    this.answer({ response_nonce: response.nonce, ...(error_detail && { error_detail }) });
    return show(response);
  }
}

function show({ resources, removed }: ReceivedResources): string {
  const shown = resources.map(({ name, version, body, ttlMs }) => {
    const ttl = ttlMs === undefined ? '' : ` for ${ttlMs} ms`;
    return `${name} ${body ?? `lives ${version}`}${ttl}`;
  });
  return [...shown, ...removed.map((name) => `${name} gone`)].join(', ');
}

describe.each(['sotw', 'delta'] as const)('extension discovery, %s', (kind) => {
  it('serves configurations by name, and each change, to an attested process', async () => {
    extensions.set(RBAC, { version: '1' });
    extensions.set(OTHER, { version: 'o1' });
    const node = {
      id: 'web-1',
      user_agent_name: 'envoy',
      user_agent_build_version: { version: { major_number: 1, minor_number: 34 } },
    };
    const envoy = new Asking(kind, [RBAC, OTHER], { node, type_url: EXTENSION_URL });
    const first = await envoy.stream.next();
    expect(first.typeUrl).toBe(EXTENSION_URL);
    expect(first.resources.map(({ name }) => name)).toEqual([RBAC, OTHER]);
    expect(first.resources[0]?.body).toBe('1');
    envoy.answer({ response_nonce: first.nonce });
    extensions.publish(RBAC, { version: '2' });
    expect(await envoy.next()).toBe('trustplane.rbac 2');
    await until(() => extensions.verdicts.length === 3);
    expect(extensions.verdicts).toEqual([`${RBAC} 1`, `${OTHER} o1`, `${RBAC} 2`]);
    expect(extensions.clients).toMatchObject([
      { pid: process.pid, nodeId: 'web-1', version: [1, 34] },
    ]);
    expect(extensions.clients[0]?.ids.join()).toBe('spiffe://a.test/web');
    expect(await metric('trustplane_ecds_acks_total{resource="rbac"}')).toBe(3);
    expect(await metric(`trustplane_ecds_streams{kind="${kind}"}`)).toBe(1);
  });

  it('gives large configurations to all streams of a process, one after the other', async () => {
    const version = 'x'.repeat(2 * 1024 * 1024);
    extensions.set(RBAC, { version });
    const envoys = Array.from({ length: 5 }, () => new Asking(kind, [RBAC]));
    const got = await Promise.all(envoys.map(async (envoy) => await envoy.next()));
    expect(got.every((text) => text === `${RBAC} ${version}`)).toBe(true);
  });

  it('keeps a configuration that may still come in silence, and what the client has', async () => {
    extensions.set(RBAC, 'pending');
    const envoy = new Asking(kind, [RBAC]);
    await until(async () => (await metric('trustplane_ecds_waiting_names')) === 1);
    extensions.publish(RBAC, { version: '1' });
    expect(await envoy.next()).toBe('trustplane.rbac 1');
    extensions.publish(RBAC, 'pending');
    extensions.publish(RBAC, { version: '2' });
    expect(await envoy.next()).toBe('trustplane.rbac 2');
  });

  it('says a refusal to its source, logs it once, and sends the next', async () => {
    extensions.set(RBAC, { version: '1' });
    const envoy = new Asking(kind, [RBAC], { node: { id: 'web-1' } });
    await envoy.next();
    extensions.publish(RBAC, { version: 'bad' });
    await envoy.next('no such\nregex');
    await until(() => extensions.verdicts.length === 2);
    expect(extensions.verdicts[1]).toBe(`${RBAC} bad: no such\\u{a}regex`);
    extensions.publish(RBAC, { version: 'bad' });
    extensions.publish(RBAC, { version: '3' });
    expect(await envoy.next()).toBe('trustplane.rbac 3');
    const lines = logged.filter(({ reason }) => reason !== undefined);
    expect(lines).toMatchObject([
      { node: 'web-1', resourceName: RBAC, resource: 'rbac', version: 'bad' },
    ]);
  });

  it('finds out which of several is bad', async () => {
    extensions.set(RBAC, { version: '1' });
    extensions.set(OTHER, { version: 'bad' });
    const envoy = new Asking(kind, [RBAC, OTHER]);
    expect(await envoy.next('bad')).toBe(`${RBAC} 1, ${OTHER} bad`);
    expect(await envoy.next()).toBe(`${RBAC} 1`);
    expect(await envoy.next('bad')).toBe(`${OTHER} bad`);
    await until(() => extensions.verdicts.length === 2);
    expect(extensions.verdicts).toEqual([`${RBAC} 1`, `${OTHER} bad: bad`]);
  });

  it('keeps a TTL alive at each third of it, until its source falls silent', async () => {
    // Envoy does not heed heartbeats of SotW.
    const lives = kind === 'delta' ? 'lives ' : '';
    extensions.set(RBAC, { version: '1', ttlMs: 9000 });
    const envoy = new Asking(kind, [RBAC]);
    expect(await envoy.next()).toBe('trustplane.rbac 1 for 9000 ms');
    for (let beat = 0; beat < 4; beat++) {
      await until(() => clock.timers === 1);
      clock.advance(2999);
      await settle();
      expect(envoy.stream.pending).toBe(0);
      clock.advance(1);
      expect(await envoy.next()).toBe(`trustplane.rbac ${lives}1 for 9000 ms`);
    }
    extensions.publish(RBAC, { version: '2', ttlMs: 9000 });
    expect(await envoy.next()).toBe('trustplane.rbac 2 for 9000 ms');
    await until(() => clock.timers === 1);
    extensions.publish(RBAC, 'pending');
    await until(() => clock.timers === 0);
    clock.advance(20_000);
    extensions.publish(RBAC, { version: '2', ttlMs: 9000 });
    expect(await envoy.next()).toBe('trustplane.rbac 2 for 9000 ms');
    expect(await metric('trustplane_ecds_heartbeats_total')).toBe(kind === 'delta' ? 4 : 0);
  });

  it('attests the caller again before a push', async () => {
    extensions.set(RBAC, { version: '1' });
    const envoy = new Asking(kind, [RBAC]);
    await envoy.next();
    await until(() => extensions.verdicts.length === 1);
    vi.spyOn(source, 'attach').mockImplementation((_peer, listener) => {
      queueMicrotask(() => listener.onGone(new Error('process 7 is another now')));
      return { close: () => {} };
    });
    extensions.publish(RBAC, { version: '2' });
    expect(await envoy.stream.ended).toMatchObject({ code: status.PERMISSION_DENIED });
    expect(envoy.stream.pending).toBe(0);
    await until(() => extensions.opened === 0);
  });

  it('waits for the entry of a caller that has none, and asks its source nothing till then', async () => {
    source.publish(nobody);
    extensions.set(RBAC, { version: '1' });
    const envoy = new Asking(kind, [RBAC]);
    await until(async () => (await metric('trustplane_ecds_waiting_names')) === 1);
    expect(extensions.clients).toEqual([]);
    source.publish(web());
    expect(await envoy.next()).toBe('trustplane.rbac 1');
  });

  it('tells its source what a client has when its identities become others', async () => {
    extensions.set(RBAC, { version: '1' });
    const envoy = new Asking(kind, [RBAC]);
    await envoy.next();
    await until(() => extensions.verdicts.length === 1);
    source.publish(textUpdate([textIdentity('/api'), textIdentity('/web')], [bundle]));
    await until(() => extensions.clients.length === 2);
    await until(() => extensions.verdicts.length === 2);
    expect(extensions.verdicts).toEqual([`${RBAC} 1`, `${RBAC} 1`]);
    expect(extensions.opened).toBe(1);
  });

  it('forgets names that were asked for one after the other', async () => {
    const stream = connect()[kind]();
    let last = '';
    for (let count = 0; count <= 101; count++) {
      const name = `${RBAC}?policy=${count}`;
      extensions.set(name, { version: '1' });
      const nonce = last === '' ? {} : { response_nonce: last };
      const left = count === 0 ? [] : [`${RBAC}?policy=${count - 1}`];
      const delta = { resource_names_subscribe: [name], resource_names_unsubscribe: left };
      stream.send(kind === 'sotw' ? { resource_names: [name], ...nonce } : { ...delta, ...nonce });
      last = (await stream.next()).nonce;
      // The rate of requests is bounded.
      clock.advance(1000);
    }
    await until(() => extensions.clients.length === 2);
    expect(extensions.opened).toBe(1);
  });

  it('leaves nothing behind', async () => {
    extensions.set(RBAC, { version: '1', ttlMs: 9000 });
    const envoys = Array.from({ length: 20 }, () => new Asking(kind, [RBAC]));
    for (const envoy of envoys) await envoy.next();
    await until(() => clock.timers === 20);
    expect(extensions.opened).toBe(20);
    for (const { stream } of envoys) stream.call.end();
    await until(() => source.attached === 0);
    expect(extensions.opened).toBe(0);
    expect(clock.timers).toBe(0);
    expect(await metric(`trustplane_ecds_streams{kind="${kind}"}`)).toBe(0);
    expect(await metric('trustplane_ecds_waiting_names')).toBe(0);
  });
});

describe('extension discovery, delta', () => {
  it('leaves out what the client holds, and tells its source that it has it', async () => {
    extensions.set(RBAC, { version: '1' });
    extensions.set(OTHER, { version: '2' });
    const envoy = new Asking('delta', [RBAC, OTHER], {
      initial_resource_versions: { [RBAC]: '1', [OTHER]: '1' },
    });
    expect(await envoy.next()).toBe(`${OTHER} 2`);
    await until(() => extensions.verdicts.length === 2);
    expect(extensions.verdicts.toSorted()).toEqual([`${RBAC} 1`, `${OTHER} 2`].toSorted());
  });

  it('begins with a heartbeat for what the client holds', async () => {
    extensions.set(RBAC, { version: '1', ttlMs: 9000 });
    const initial_resource_versions = { [RBAC]: '1' };
    const envoy = new Asking('delta', [RBAC], { initial_resource_versions });
    expect(await envoy.next()).toBe('trustplane.rbac lives 1 for 9000 ms');
  });

  it('keeps the last good one alive while the newest is refused', async () => {
    extensions.set(RBAC, { version: '1', ttlMs: 9000 });
    const envoy = new Asking('delta', [RBAC]);
    await envoy.next();
    extensions.publish(RBAC, { version: 'bad', ttlMs: 9000 });
    await envoy.next('no');
    await until(() => clock.timers === 1);
    clock.advance(3000);
    expect(await envoy.next()).toBe('trustplane.rbac lives 1 for 9000 ms');
  });

  it('sends the whole again for a heartbeat refused or late', async () => {
    extensions.set(RBAC, { version: '1', ttlMs: 9000 });
    const envoy = new Asking('delta', [RBAC]);
    await envoy.next();
    await until(() => clock.timers === 1);
    clock.advance(3000);
    expect(await envoy.next('I have no such thing')).toMatch(/lives/u);
    expect(await envoy.next()).toBe('trustplane.rbac 1 for 9000 ms');
    await until(() => clock.timers === 1);
    clock.jump(clock.now() + 8000);
    source.publish(web());
    expect(await envoy.next()).toBe('trustplane.rbac 1 for 9000 ms');
  });

  it('removes what is gone, and what was asked for in vain, once', async () => {
    extensions.set(RBAC, { version: '1' });
    const wrong = ['trustplane.nothing', 'trustplane.rbac:spiffe://a.test/other'];
    const envoy = new Asking('delta', [RBAC, ...wrong]);
    expect(await envoy.next()).toBe(wrong.map((name) => `${name} gone`).join(', '));
    expect(await envoy.next()).toBe('trustplane.rbac 1');
    extensions.publish(RBAC, 'refused');
    expect(await envoy.next()).toBe('trustplane.rbac gone');
    extensions.publish(RBAC, { version: '1' });
    expect(await envoy.next()).toBe('trustplane.rbac 1');
    envoy.answer({ resource_names_subscribe: wrong.slice(0, 1) });
    expect(await envoy.next()).toBe('trustplane.nothing gone');
    expect(await metric('trustplane_ecds_removals_total')).toBe(4);
    const refused = logged.filter(({ reason }) => reason !== undefined);
    expect(refused).toMatchObject([
      { resourceName: wrong[0], reason: expect.stringContaining('trustplane.<kind>') },
      { resourceName: wrong[1], reason: expect.stringContaining('spiffe://a.test/web') },
    ]);
  });

  it('takes everything back from a caller that lost its entry', async () => {
    extensions.set(RBAC, { version: '1' });
    const envoy = new Asking('delta', [RBAC]);
    await envoy.next();
    source.publish(nobody);
    expect(await envoy.next()).toBe('trustplane.rbac gone');
    expect(extensions.opened).toBe(0);
  });

  it('does not take for in force what was taken back, before the client has it again', async () => {
    extensions.set(RBAC, { version: '1' });
    const envoy = new Asking('delta', [RBAC]);
    await envoy.next();
    await until(() => extensions.verdicts.length === 1);
    source.publish(nobody);
    await envoy.next();
    source.publish(web());
    const { nonce } = await envoy.stream.next();
    expect(extensions.verdicts).toEqual([`${RBAC} 1`]);
    envoy.answer({ response_nonce: nonce });
    await until(() => extensions.verdicts.length === 2);
  });
});

describe('extension discovery', () => {
  it('has nothing for a wildcard', async () => {
    extensions.set(RBAC, { version: '1' });
    const [sotw, delta] = [connect().sotw(), connect().delta()];
    sotw.send({});
    delta.send({ resource_names_subscribe: ['*'] });
    delta.send({ resource_names_subscribe: [RBAC] });
    expect(show(await delta.next())).toBe('trustplane.rbac 1');
    sotw.send({ resource_names: [RBAC] });
    expect(show(await sotw.next())).toBe('trustplane.rbac 1');
  });

  it('refuses another type and too much (SDS-2)', async () => {
    const [wrong, many] = [connect().delta(), connect().delta()];
    wrong.send({ type_url: SECRET_URL });
    expect(await wrong.ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(EXTENSION_URL),
    });
    const names = Array.from({ length: 1001 }, (_, i) => `${RBAC}?policy=${i}`);
    many.send({ resource_names_subscribe: names });
    expect(await many.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });

  it('answers FetchExtensionConfigs at once', async () => {
    extensions.set(RBAC, { version: '1' });
    extensions.set(OTHER, 'pending');
    const found = await connect().fetch({ resource_names: [RBAC, OTHER] });
    expect(show(found)).toBe('trustplane.rbac 1');
    const asked = connect().fetch({ resource_names: [OTHER] });
    await expect(asked).rejects.toMatchObject({ code: status.NOT_FOUND });
    expect(extensions.opened).toBe(0);
  });
});

describe('aggregated discovery', () => {
  const secretNames = ({ typeUrl, resources }: ReceivedResources) =>
    typeUrl === SECRET_URL && resources.map(({ name }) => name).join();

  it.each(['adsSotw', 'adsDelta'] as const)(
    '%s: serves both types, each by itself',
    async (kind) => {
      extensions.set(RBAC, { version: '1' });
      const stream = connect()[kind]();
      const field = kind === 'adsSotw' ? 'resource_names' : 'resource_names_subscribe';
      const say = (type_url: string, names: readonly string[], more: object = {}) =>
        stream.send({ type_url, ...(names.length > 0 && { [field]: names }), ...more });
      say(SECRET_URL, ['default'], { node: { id: 'ads-1' } });
      const secret = await stream.next();
      expect(secretNames(secret)).toBe('default');
      expect(extensions.clients).toEqual([]);
      say(EXTENSION_URL, [RBAC]);
      const rules = await stream.next();
      expect([rules.typeUrl, show(rules)]).toEqual([EXTENSION_URL, 'trustplane.rbac 1']);
      expect(extensions.clients).toMatchObject([{ nodeId: 'ads-1' }]);
      const again = kind === 'adsSotw';
      say(SECRET_URL, again ? ['default'] : [], { response_nonce: secret.nonce });
      const error_detail = { code: 3, message: 'bad' };
      say(EXTENSION_URL, again ? [RBAC] : [], { response_nonce: rules.nonce, error_detail });
      await until(() => extensions.verdicts.length === 1);
      expect(extensions.verdicts).toEqual([`${RBAC} 1: bad`]);
      expect(await metric('trustplane_sds_nacks_total{resource="tls_certificate"}')).toBe(0);
      source.publish(web(2));
      expect(secretNames(await stream.next())).toBe('default');
      extensions.publish(RBAC, { version: '2' });
      expect(show(await stream.next())).toBe('trustplane.rbac 2');
      stream.call.end();
      await until(async () => (await metric('trustplane_ads_streams{kind="sotw"}')) === 0);
      await until(async () => (await metric('trustplane_ads_streams{kind="delta"}')) === 0);
      expect(extensions.opened).toBe(0);
    },
  );

  it('never answers another type, says so once, and serves the rest of the stream', async () => {
    const listeners = 'type.googleapis.com/envoy.config.listener.v3.Listener';
    for (const stream of [connect().adsDelta(), connect().adsDelta()]) {
      stream.send({ type_url: listeners });
      stream.send({ type_url: SECRET_URL, resource_names_subscribe: ['default'] });
      expect(secretNames(await stream.next())).toBe('default');
    }
    expect(logged.filter(({ typeUrl }) => typeUrl === listeners)).toHaveLength(1);
  });

  it('ends a stream that names no type', async () => {
    const stream = connect().adsSotw();
    stream.send({ resource_names: ['default'] });
    expect(await stream.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it('bounds the names of all types together', async () => {
    const stream = connect().adsDelta();
    for (const type_url of [SECRET_URL, EXTENSION_URL]) {
      const names = Array.from({ length: 501 }, (_, i) => `trustplane.rbac?policy=${i}`);
      stream.send({ type_url, resource_names_subscribe: names });
    }
    expect(await stream.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });
});
