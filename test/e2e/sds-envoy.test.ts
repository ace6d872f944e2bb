import { randomBytes, webcrypto } from 'node:crypto';
import path from 'node:path';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createThrowawayCa } from '../../src/ca/index.ts';
import { createMetrics, type Metrics, silentLog, systemClock } from '../../src/ops/index.ts';
import { createSds, defaultSdsNames } from '../../src/sds/index.ts';
import { type Bundle, SpiffeId, TrustDomain, type X509Identity } from '../../src/spiffe/index.ts';
import { type PeerProcess, serveUnix, type UnixServer } from '../../src/wire/index.ts';
import { FakeWorkloadSource } from '../fakes/fake-workload-source.ts';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
} from '../fakes/test-certificates.ts';
import { textUpdate } from '../fakes/test-updates.ts';
import { eventually } from '../programs/eventually.ts';
import { adminSocketOf, launchEnvoy, type RunningEnvoy } from '../programs/launch-envoy.ts';
import { renderBootstrap } from '../programs/render-bootstrap.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

const SERVER_ID = 'spiffe://a.test/server';
const unmatchableCa = createThrowawayCa(Date.now(), randomBytes);
const validity = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };

interface Leaf {
  readonly certificate: TestCertificate;
  /** PKCS#8 DER. */
  readonly key: Uint8Array;
}

async function issue(issuer: TestCertificate, uri: string): Promise<Leaf> {
  const certificate = await makeCertificate({ issuer, uris: [uri], ...validity });
  const key = await webcrypto.subtle.exportKey('pkcs8', certificate.keys.privateKey);
  return { certificate, key: new Uint8Array(key) };
}

const issueAuthority = (trustDomain: string): Promise<TestCertificate> =>
  makeAuthority({
    subject: `CN=${trustDomain} ${randomBytes(4).toString('hex')}`,
    uris: [`spiffe://${trustDomain}`],
    ...validity,
  });

function identityOf({ certificate, key }: Leaf): X509Identity {
  return {
    entryId: 'server',
    spiffeId: SpiffeId.parse(SERVER_ID),
    hint: '',
    certificateChain: [certificate.der],
    privateKey: key,
    notBefore: validity.notBefore,
    expiresAt: validity.notAfter,
    federatesWith: [TrustDomain.parse('b.test')],
  };
}

function toPem(label: string, der: Uint8Array): string {
  return `-----BEGIN ${label}-----\n${Buffer.from(der).toString('base64')}\n-----END ${label}-----\n`;
}

let folder: RunFolder;
let source: FakeWorkloadSource<PeerProcess>;
let server: UnixServer;
let metrics: Metrics;
let envoy: RunningEnvoy | undefined;
let a: TestCertificate;
let b: TestCertificate;

const publish = (identities: readonly X509Identity[], ...bundles: readonly Bundle[]): void =>
  source.publish(textUpdate(identities, bundles));

async function serve(): Promise<void> {
  metrics = createMetrics();
  const sds = createSds({
    source,
    names: defaultSdsNames,
    disableSpiffeCertValidation: false,
    unmatchableCa,
    clock: systemClock,
    log: silentLog,
    metrics,
  });
  const socket = path.join(folder.path, 'agent.sock');
  server = await serveUnix({ path: socket, mode: 0o600, services: [sds], log: silentLog, metrics });
}

/** The server sidecar as it is shipped, with `ALL` for `ROOTCA` and changed by `edit`. */
async function start(edit: (bootstrap: string) => string): Promise<RunningEnvoy> {
  const bootstrap = await renderBootstrap('server-sidecar', {
    'spiffe://example.org/client': 'spiffe://a.test/client',
    'spiffe://example.org/server': SERVER_ID,
    '127.0.0.1:9901': adminSocketOf(folder.path, 'server'),
    '0.0.0.0:8443': path.join(folder.path, 'inbound.sock'),
    '127.0.0.1:8080': path.join(folder.path, 'application.sock'),
    '/run/trustplane/agent.sock': server.path,
  });
  const edited = edit(bootstrap.replace('name: ROOTCA', 'name: ALL'));
  envoy = await launchEnvoy({ folder: folder.path, name: 'server', bootstrap: edited });
  await envoy.waitStarted();
  return envoy;
}

/** Whether Envoy lets a caller with that leaf in. */
async function isLetIn({ certificate, key }: Leaf): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({
      path: path.join(folder.path, 'inbound.sock'),
      cert: toPem('CERTIFICATE', certificate.der),
      key: toPem('PRIVATE KEY', key),
      rejectUnauthorized: false,
    });
    socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: test\r\n\r\n'));
    socket.on('data', () => {
      resolve(true);
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

/** Waits until Envoy has taken `count` updates of the secret. */
const takes = (running: RunningEnvoy, secret: 'web' | 'ALL', count: number): Promise<number> =>
  eventually(`Envoy takes update ${count} of ${secret}`, async () => {
    const pattern = secret === 'ALL' ? '^sds.ALL.update_success$' : '^sds.spiffe.*update_success$';
    const [taken] = (await running.stats(pattern)).values();
    return taken === count ? taken : undefined;
  });

async function metric(name: string): Promise<number> {
  const line = (await metrics.render()).split('\n').find((text) => text.startsWith(`${name} `));
  return Number(line?.split(' ').at(-1) ?? 0);
}

const SAN_LIST =
  /default_validation_context:\n(?: *#.*\n)* *match_typed_subject_alt_names:\n.*\n.*\n/u;

const withoutSanList = (bootstrap: string): string =>
  bootstrap.replace(SAN_LIST, 'default_validation_context: {}\n');

beforeEach(async () => {
  folder = createRunFolder();
  source = new FakeWorkloadSource(textUpdate([]));
  [a, b] = await Promise.all([issueAuthority('a.test'), issueAuthority('b.test')]);
  await serve();
});

afterEach(async () => {
  await envoy?.stop();
  envoy = undefined;
  await server.close(0);
  await folder.remove();
});

describe.each(['GRPC', 'DELTA_GRPC'])('Envoy over %s', (api) => {
  const launch = (): Promise<RunningEnvoy> =>
    start((text) => withoutSanList(text).replace('api_type: GRPC', `api_type: ${api}`));

  it('waits for its entry, then trusts each domain for its own IDs only (SDS-9, SDS-16, F14)', async () => {
    const running = await launch();
    await eventually('both names wait', async () =>
      (await metric('trustplane_sds_waiting_names')) === 2 ? true : undefined,
    );
    const c = await issueAuthority('c.test');
    const issuers = { 'a.test': a, 'b.test': b, 'c.test': c };
    publish(
      [identityOf(await issue(a, SERVER_ID))],
      ...Object.entries(issuers).map(([name, issuer]) => bundleOf(name, issuer)),
    );
    await running.waitReady();
    for (const [name, issuer] of Object.entries(issuers))
      for (const claimed of Object.keys(issuers))
        expect([
          name,
          claimed,
          await isLetIn(await issue(issuer, `spiffe://${claimed}/client`)),
        ]).toEqual([name, claimed, name === claimed]);
  });

  it('refuses a key that does not match, keeps the last good, and is not asked again (SDS-4, SDS-15, F8)', async () => {
    const good = await issue(a, SERVER_ID);
    const bad = { certificate: (await issue(a, SERVER_ID)).certificate, key: good.key };
    publish([identityOf(good)], bundleOf('a.test', a));
    const running = await launch();
    await running.waitReady();
    publish([identityOf(bad)], bundleOf('a.test', a));
    const refusals = async (resource: string): Promise<number> =>
      await metric(`trustplane_sds_nacks_total{resource="${resource}"}`);
    const refuses = (resource: string): Promise<number> =>
      eventually(
        `Envoy refuses the ${resource}`,
        async () => (await refusals(resource)) || undefined,
      );
    await refuses('tls_certificate');
    expect(await isLetIn(await issue(a, 'spiffe://a.test/client'))).toBe(true);
    // Envoy builds a TLS context of all its secrets, so it refuses a good one beside the bad one too,
    // but remembers it.
    const next = await issueAuthority('a.test');
    publish([identityOf(bad)], bundleOf('a.test', a, next));
    await refuses('validation_context');
    publish([identityOf(await issue(a, SERVER_ID))], bundleOf('a.test', a, next));
    await takes(running, 'web', 2);
    expect(await isLetIn(await issue(next, 'spiffe://a.test/client'))).toBe(true);
    expect(await refusals('tls_certificate')).toBe(1);
    expect(await refusals('validation_context')).toBe(1);
  });

  it('refuses a domain that has no authority left, and everybody once the entry is gone (SDS-13, SDS-17)', async () => {
    const [own, foreign] = await Promise.all([
      issue(a, 'spiffe://a.test/client'),
      issue(b, 'spiffe://b.test/client'),
    ]);
    const identity = identityOf(await issue(a, SERVER_ID));
    publish([identity], bundleOf('a.test', a), bundleOf('b.test', b));
    const running = await launch();
    await running.waitReady();
    expect(await isLetIn(foreign)).toBe(true);
    publish([identity], bundleOf('a.test', a), bundleOf('b.test'));
    await takes(running, 'ALL', 2);
    expect([await isLetIn(own), await isLetIn(foreign)]).toEqual([true, false]);
    publish([identity], bundleOf('a.test'), bundleOf('b.test'));
    await takes(running, 'ALL', 3);
    expect(await isLetIn(own)).toBe(false);
    publish([identity], bundleOf('a.test', a));
    await takes(running, 'ALL', 4);
    expect(await isLetIn(own)).toBe(true);
    publish([], bundleOf('a.test', a));
    await takes(running, 'ALL', 5);
    expect(await isLetIn(own)).toBe(false);
    expect(await metric('trustplane_sds_nacks_total{resource="validation_context"}')).toBe(0);
  });

  it('goes on through a restart of the agent, whatever the agent knows at first', async () => {
    const own = await issue(a, 'spiffe://a.test/client');
    const identity = identityOf(await issue(a, SERVER_ID));
    publish([identity], bundleOf('a.test', a));
    await (await launch()).waitReady();
    await server.close(0);
    source = new FakeWorkloadSource(textUpdate([]));
    await serve();
    await eventually('Envoy is back', () => (source.attached === 2 ? true : undefined));
    expect(await isLetIn(own)).toBe(true);
    publish([identity], bundleOf('a.test', a));
    const sent = await metric('trustplane_sds_resources_total{resource="tls_certificate"}');
    expect(sent).toBe(api === 'GRPC' ? 1 : 0);
    expect(await isLetIn(own)).toBe(true);
  });
});

describe('Envoy with disable_spiffe_cert_validation in its metadata', () => {
  const plain = (bootstrap: string): string =>
    bootstrap.replace('node:\n', 'node:\n  metadata: { disable_spiffe_cert_validation: true }\n');

  it('trusts the own domain for its own IDs only (SDS-18)', async () => {
    publish([identityOf(await issue(a, SERVER_ID))], bundleOf('a.test', a), bundleOf('b.test', b));
    await (await start((text) => plain(withoutSanList(text)))).waitReady();
    expect(await isLetIn(await issue(a, 'spiffe://a.test/client'))).toBe(true);
    expect(await isLetIn(await issue(a, 'spiffe://b.test/client'))).toBe(false);
    expect(await isLetIn(await issue(b, 'spiffe://b.test/client'))).toBe(false);
  });

  it('adds the whole own domain to a SAN list of its own, as the reference warns', async () => {
    publish([identityOf(await issue(a, SERVER_ID))], bundleOf('a.test', a));
    await (await start(plain)).waitReady();
    expect(await isLetIn(await issue(a, 'spiffe://a.test/other'))).toBe(true);
  });
});
