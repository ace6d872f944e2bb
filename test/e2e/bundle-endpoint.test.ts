import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import path from 'node:path';
import { connect, type PeerCertificate } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  encodePem,
  parseBundleDocument,
  parseX509Svid,
  TrustDomain,
  verifyX509Svid,
} from '../../src/spiffe/index.ts';
import { AcmeServer } from '../fakes/acme-server.ts';
import { makeAuthority } from '../fakes/test-certificates.ts';
import { asPem, makeIdentity } from '../fakes/tls-place.ts';
import { eventually } from '../programs/eventually.ts';
import { freePorts } from '../programs/free-ports.ts';
import { type LaunchedServer, launchServer, writeServerConfig } from '../programs/launch-server.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

const OWN = TrustDomain.parse('example.org');
let folder: RunFolder;
let server: LaunchedServer;

const endpointOf = (text: string): string =>
  `federation: { bundleEndpoint: { address: 127.0.0.1:0, ${text} } }\n`;

/** Of the line that says it is ready. */
async function urlOf(server: LaunchedServer): Promise<string> {
  return JSON.parse(await server.line('{"ready":true')).bundleEndpoint;
}

interface Read {
  readonly status: number | undefined;
  readonly etag: string | undefined;
  readonly text: string;
}

async function read(url: string, headers: Record<string, string> = {}): Promise<Read> {
  const asked = get(url, { headers, rejectUnauthorized: false, agent: false });
  const [response]: IncomingMessage[] = await once(asked, 'response');
  if (response === undefined) throw new Error('no response');
  const chunks: Uint8Array[] = [];
  for await (const chunk of response) chunks.push(Buffer.from(chunk));
  const {
    statusCode: status,
    headers: { etag },
  } = response;
  return { status, etag, text: Buffer.concat(chunks).toString() };
}

async function certificateOf(url: string, ca?: string): Promise<PeerCertificate> {
  const { hostname: host, port } = new URL(url);
  const trusted = ca === undefined ? { rejectUnauthorized: false } : { ca };
  const socket = connect({ host, port: Number(port), servername: 'localhost', ...trusted });
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerCertificate();
  socket.destroy();
  return certificate;
}

async function shownBundle(server: LaunchedServer): Promise<unknown> {
  return await server.ask('bundle', 'show', '--format', 'spiffe');
}

describe('over https_spiffe', () => {
  let url: string;

  beforeAll(async () => {
    folder = createRunFolder();
    const config = endpointOf('path: /bundle, bundleMap: { path: /map, envoyPath: /envoy }');
    server = await launchServer(folder.path, { config });
    url = await urlOf(server);
  });

  afterAll(async () => {
    await server.stop();
    await folder.remove();
  });

  it('is the bundle that the server shows, under a URL that it prints (BUNDLE-1, FED-12)', async () => {
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/bundle$/);
    const { status, text } = await read(url);
    expect(status).toBe(200);
    expect(JSON.parse(text)).toEqual(await shownBundle(server));
    const { bundleEndpoint } = await server.ask('status');
    expect(bundleEndpoint).toEqual({ url, profile: 'https_spiffe' });
  });

  it('shows the SVID of the server, which the bundle vouches for (FED-16)', async () => {
    const { raw } = await certificateOf(url);
    const svid = parseX509Svid([new Uint8Array(raw)]);
    expect(svid.spiffeId.toString()).toBe('spiffe://example.org/spire/server');
    const { bundle } = parseBundleDocument(OWN, (await read(url)).text);
    verifyX509Svid(svid, bundle, Date.now());
  });

  it('has a new authority as soon as the command that made it ends, which waits for readers (FED-5)', async () => {
    const before = await read(url);
    const { authorityId } = await server.ask('authority', 'x509', 'prepare');
    const after = await read(url, { 'if-none-match': before.etag ?? '' });
    expect(after.status).toBe(200);
    const { bundle } = parseBundleDocument(OWN, after.text);
    expect(bundle.x509Authorities).toHaveLength(2);
    expect(JSON.parse(after.text)).toEqual(await shownBundle(server));
    expect(await read(url, { 'if-none-match': after.etag ?? '' })).toMatchObject({
      status: 304,
      text: '',
    });
    const activate = ['authority', 'x509', 'activate', String(authorityId)];
    const activated = await runTrustplane(...activate, '--admin-socket', server.adminSocket);
    expect(activated.code).not.toBe(0);
    expect(activated.stderr).toContain('readers of the bundle endpoint');
  });

  it('has a federated trust domain in its maps, and no more once it is deleted (MAP-1, MAP-5)', async () => {
    const authority = await makeAuthority({ uris: ['spiffe://b.test'] });
    const file = path.join(folder.path, 'b.pem');
    writeFileSync(file, encodePem('CERTIFICATE', authority.der));
    await server.ask('bundle', 'set', '--id', 'b.test', '--path', file);
    const names = async (name: string): Promise<string[]> =>
      Object.keys(JSON.parse((await read(new URL(name, url).href)).text).trust_domains);
    expect(await names('/map')).toEqual(['example.org', 'b.test']);
    expect(await names('/envoy')).toEqual(['example.org', 'b.test']);
    await server.ask('bundle', 'delete', 'b.test');
    expect(await names('/map')).toEqual(['example.org']);
  });

  it('is part of its health, and takes up another path', async () => {
    writeServerConfig(folder.path, endpointOf('path: /elsewhere'));
    server.kill('SIGHUP');
    expect(JSON.parse(await server.line('the configuration was reloaded'))).toMatchObject({
      changed: [
        'federation.bundleEndpoint.path',
        'federation.bundleEndpoint.bundleMap.path',
        'federation.bundleEndpoint.bundleMap.envoyPath',
      ],
    });
    expect((await read(url)).status).toBe(404);
    expect((await read(new URL('/elsewhere', url).href)).status).toBe(200);
    expect(await server.ask('status')).toMatchObject({ healthy: true });
  });
});

it('shows a certificate from files, and another one when they are replaced (FED-1)', async () => {
  await using stack = new AsyncDisposableStack();
  const place = createRunFolder();
  stack.defer(async () => await place.remove());
  const validity = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
  const authority = await makeAuthority({ uris: [], ...validity });
  const ca = encodePem('CERTIFICATE', authority.der);
  const at = (name: string) => path.join(place.path, name);
  const write = async (serialNumber: string): Promise<void> => {
    const names = { uris: [], dns: ['localhost'], serialNumber };
    const { cert, key } = asPem(await makeIdentity({ issuer: authority, ...names, ...validity }));
    writeFileSync(at('web.key'), key, { mode: 0o600 });
    writeFileSync(at('web.pem'), cert);
  };
  await write('11');
  const files = `certificateFile: ${at('web.pem')}, privateKeyFile: ${at('web.key')}`;
  const config = endpointOf(`profile: https_web, ${files}`);
  const web = await launchServer(place.path, { role: 'up', config });
  stack.defer(async () => void (await web.stop()));
  const url = await urlOf(web);
  expect((await certificateOf(url, ca)).serialNumber).toBe('11');
  expect(JSON.parse((await read(url)).text)).toEqual(await shownBundle(web));
  await write('22');
  web.kill('SIGHUP');
  await web.line('the bundle endpoint has taken up a certificate');
  expect((await certificateOf(url, ca)).serialNumber).toBe('22');
  writeFileSync(at('web.key'), 'nothing');
  const { problems } = await eventually('the fault is shown', async () => {
    const status = await web.ask('status');
    return status.healthy ? undefined : status;
  });
  expect(problems.join()).toMatch(/^bundle-endpoint: .*web\.key/);
  expect((await certificateOf(url, ca)).serialNumber).toBe('22');
  expect(web.log.join('\n')).not.toContain('PRIVATE KEY');
});

it('does not start with a certificate that cannot be shown', async () => {
  const place = createRunFolder();
  const files = 'certificateFile: /nowhere.pem, privateKeyFile: /nowhere.key';
  const config = endpointOf(`profile: https_web, ${files}`);
  await expect(launchServer(place.path, { config })).rejects.toThrow('ERR_ENDPOINT_CERTIFICATE');
  await place.remove();
});

it('has a certificate issued by ACME, keeps it, and shows it after a restart', async () => {
  await using stack = new AsyncDisposableStack();
  const place = createRunFolder();
  stack.defer(async () => await place.remove());
  const [port = 0] = await freePorts(1);
  const acme = await AcmeServer.start({ reach: () => port, now: () => Date.now() });
  stack.defer(async () => await acme.close());
  const caFile = path.join(place.path, 'acme.pem');
  writeFileSync(caFile, acme.ca);
  const settings = `domainNames: [localhost.test], tosAccepted: true, directoryUrl: "${acme.directoryUrl}", caFile: ${caFile}`;
  const config = `federation: { bundleEndpoint: { address: 127.0.0.1:${port}, profile: https_web, acme: { ${settings} } } }\n`;
  const shown = async (): Promise<string> => {
    const { raw } = await certificateOf(`https://127.0.0.1:${port}/`);
    return new X509Certificate(raw).subjectAltName ?? '';
  };
  const first = await launchServer(place.path, { config });
  expect(await urlOf(first)).toBe(`https://localhost.test:${port}/`);
  expect(await eventually('it has a certificate', shown)).toBe('DNS:localhost.test');
  await first.stop();
  const kept = path.join(place.path, 'data', 'acme');
  for (const name of readdirSync(kept))
    expect(statSync(path.join(kept, name)).mode & 0o777).toBe(0o600);
  expect(readFileSync(path.join(kept, 'certificate.pem'), 'latin1')).toContain('BEGIN CERTIFICATE');
  const second = await launchServer(place.path, { config });
  stack.defer(async () => void (await second.stop()));
  expect(await shown()).toBe('DNS:localhost.test');
  expect(acme.certificates).toBe(1);
});
