import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { encodePem } from '../../src/spiffe/index.ts';
import { makeAuthority } from '../fakes/test-certificates.ts';
import { asPem, makeIdentity } from '../fakes/tls-place.ts';
import { eventually } from '../programs/eventually.ts';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

/** The endpoint and the client of it, in servers of two trust domains. */
let folders: readonly RunFolder[];
let a: LaunchedServer;
let b: LaunchedServer;

const fileOf = (name: string): string => path.join(folders[0]?.path ?? '', name);

async function launch(folder: RunFolder, name: string, endpoint: string): Promise<LaunchedServer> {
  const bundleEndpoint = `bundleEndpoint: { address: 127.0.0.1:0${endpoint} }`;
  const config = `trustDomain: ${name}.test\nfederation: { ${bundleEndpoint} }\n`;
  return await launchServer(folder.path, { config });
}

const endpointOf = async (server: LaunchedServer): Promise<string> =>
  (await server.ask('status')).bundleEndpoint.url;

const keysOf = async (server: LaunchedServer, ...of: readonly string[]): Promise<unknown[]> =>
  (await server.ask('bundle', ...of, '--format', 'spiffe')).keys;

async function relate(
  server: LaunchedServer,
  flags: Readonly<Record<string, string>>,
): Promise<void> {
  const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  await server.ask('federation', 'create', ...words);
}

/** b over https_web, with a certificate of an authority that only a is told of. */
beforeAll(async () => {
  folders = [createRunFolder(), createRunFolder()];
  const validity = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
  const web = await makeAuthority({ uris: [], ...validity });
  const names = { uris: [], dns: ['localhost'], ...validity };
  const { cert, key } = asPem(await makeIdentity({ issuer: web, ...names }));
  writeFileSync(fileOf('web-ca.pem'), encodePem('CERTIFICATE', web.der));
  writeFileSync(fileOf('web.pem'), cert);
  writeFileSync(fileOf('web.key'), key, { mode: 0o600 });
  const files = `certificateFile: ${fileOf('web.pem')}, privateKeyFile: ${fileOf('web.key')}`;
  const [ofA, ofB] = folders;
  if (ofA === undefined || ofB === undefined) throw new Error('two folders');
  [a, b] = await Promise.all([
    launch(ofA, 'a', ''),
    launch(ofB, 'b', `, profile: https_web, ${files}`),
  ]);
});

afterAll(async () => {
  await Promise.all([a.stop(), b.stop()]);
  await Promise.all(folders.map(async (folder) => await folder.remove()));
});

it('is read by another server over https_spiffe, and again after a rotation (FED-1, FED-17)', async () => {
  const first = await a.ask('bundle', 'show', '--format', 'spiffe');
  writeFileSync(fileOf('a.json'), JSON.stringify(first));
  await relate(b, {
    'trust-domain': 'a.test',
    'bundle-endpoint-url': await endpointOf(a),
    'bundle-endpoint-profile': 'https_spiffe',
    'endpoint-spiffe-id': 'spiffe://a.test/spire/server',
    'trust-domain-bundle-format': 'spiffe',
    'trust-domain-bundle-path': fileOf('a.json'),
  });
  await a.ask('authority', 'x509', 'prepare');
  await b.ask('federation', 'refresh', 'a.test');
  const shown = await keysOf(a, 'show');
  expect(shown.length).toBe(first.keys.length + 1);
  expect(await keysOf(b, 'list', '--id', 'a.test')).toEqual(shown);
});

it('is read by another server over https_web with a private authority (FED-1, FED-10)', async () => {
  const url = (await endpointOf(b)).replace('127.0.0.1', 'localhost');
  await relate(a, {
    'trust-domain': 'b.test',
    'bundle-endpoint-url': url,
    'bundle-endpoint-profile': 'https_web',
    'web-ca-file': fileOf('web-ca.pem'),
  });
  const keys = await eventually('it is fetched', () => keysOf(a, 'list', '--id', 'b.test'));
  expect(keys).toEqual(await keysOf(b, 'show'));
});
