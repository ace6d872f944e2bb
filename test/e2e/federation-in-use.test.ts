import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { exportSPKI, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Bundle,
  decodePem,
  serializeBundleDocument,
  type TokenAuthority,
} from '../../src/spiffe/index.ts';
import { bundleOf, type TestCertificate } from '../fakes/test-certificates.ts';
import { askServer, runAdmin } from '../programs/fleet-process.ts';
import type { RunningEnvoy } from '../programs/launch-envoy.ts';
import { launchServerAndAgent, type ServerAndAgent } from '../programs/launch-server-and-agent.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import {
  isLetIn,
  issueAuthority,
  issueLeaf,
  launchInbound,
  withoutSanList,
} from '../programs/sds-ground.ts';

const WEB = 'spiffe://example.org/web';
type Domain = 'b.test' | 'c.test';

let folder: RunFolder;
let fleet: ServerAndAgent;
let authorities: Readonly<Record<Domain, TestCertificate>>;
type PrivateKey = Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];
let jwt: { readonly key: PrivateKey; readonly authority: TokenAuthority };
let sequence = 0n;

async function makeJwtAuthority(): Promise<typeof jwt> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const [der = new Uint8Array()] = decodePem('PUBLIC KEY', await exportSPKI(publicKey));
  const authority = { keyId: 'k', publicKey: der, expiresAt: undefined, tainted: false };
  return { key: privateKey, authority };
}

const run = async (...args: readonly string[]): Promise<unknown> =>
  await askServer(fleet.adminSocket, ...args);

/** A bundle of the trust domain with all its keys, changed by `more`, in a file. */
function bundleFile(name: Domain, more: Partial<Bundle> = {}): string {
  const bundle = { ...bundleOf(name, authorities[name]), jwtAuthorities: [jwt.authority] };
  const file = path.join(folder.path, `${name}.json`);
  const numbered = { ...bundle, ...more, sequenceNumber: ++sequence };
  writeFileSync(file, serializeBundleDocument(numbered));
  return file;
}

async function federate(name: Domain): Promise<void> {
  const endpoint = ['--bundle-endpoint-url', 'https://127.0.0.1:1/'];
  const profile = ['--bundle-endpoint-profile', 'https_spiffe'];
  const server = ['--endpoint-spiffe-id', `spiffe://${name}/spire/server`];
  const bundle = ['--trust-domain-bundle-format', 'spiffe', '--trust-domain-bundle-path'];
  const where = [...endpoint, ...profile, ...server, ...bundle, bundleFile(name)];
  await run('federation', 'create', '--trust-domain', name, ...where);
}

const setBundle = async (name: Domain, more?: Partial<Bundle>): Promise<unknown> =>
  await run('bundle', 'set', '--id', name, '--format', 'spiffe', '--path', bundleFile(name, more));

async function isTokenValid(id: string): Promise<boolean> {
  const token = await new SignJWT({ sub: `spiffe://${id}`, aud: 'db' })
    .setProtectedHeader({ alg: 'ES256', kid: 'k' })
    .setExpirationTime('5 min')
    .sign(jwt.key);
  const file = path.join(folder.path, 'token');
  writeFileSync(file, token);
  const where = ['--audience', 'db', '--socket', fleet.socket, file];
  return (await runTrustplane('api', 'validate', 'jwt', ...where)).code === 0;
}

const ids = ['b.test/payments/x', 'b.test/other', 'c.test/x'] as const;

/** Whom of them Envoy lets in, and whose tokens the agent takes. */
async function trusted(): Promise<{ readonly mtls: string[]; readonly jwt: string[] }> {
  const found = { mtls: [] as string[], jwt: [] as string[] };
  for (const id of ids) {
    const authority = authorities[id.startsWith('b.test') ? 'b.test' : 'c.test'];
    const leaf = await issueLeaf(authority, `spiffe://${id}`);
    if (await isLetIn(folder.path, leaf)) found.mtls.push(id);
    if (await isTokenValid(id)) found.jwt.push(id);
  }
  return found;
}

const patience = { timeout: 20_000 };
const both = (...list: readonly string[]) => ({ mtls: list, jwt: list });

beforeAll(async () => {
  folder = createRunFolder();
  fleet = await launchServerAndAgent(folder.path);
  authorities = {
    'b.test': await issueAuthority('b.test'),
    'c.test': await issueAuthority('c.test'),
  };
  jwt = await makeJwtAuthority();
  const parent = ['--parent-id', `spiffe://example.org${fleet.agentPath}`];
  const selector = ['--selector', `unix:uid:${process.getuid?.() ?? 0}`];
  const federates = ['--federates-with', 'b.test', '--federates-with', 'c.test'];
  await run('entry', 'create', '--spiffe-id', WEB, ...parent, ...selector, ...federates);
});

afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await folder.remove();
});

describe.each(['GRPC', 'DELTA_GRPC'])('an Envoy over %s and the agent it asks', (api) => {
  let envoy: RunningEnvoy;

  beforeAll(async () => {
    envoy = await launchInbound({
      folder: folder.path,
      agentSocket: fleet.socket,
      serverId: WEB,
      context: 'ALL',
      edit: (text) => withoutSanList(text).replace('api_type: GRPC', `api_type: ${api}`),
    });
    await envoy.waitReady();
  });
  afterAll(async () => {
    await envoy.stop();
    await runAdmin(fleet.adminSocket, 'federation', 'delete', 'c.test');
  });

  it('keep to what is trusted of federated trust domains, as it changes (BUNDLE-2, SDS-17, FED-19)', async () => {
    await federate('b.test');
    await federate('c.test');
    await expect.poll(trusted, patience).toEqual(both(...ids));
    await run(
      'federation',
      'update',
      '--trust-domain',
      'b.test',
      '--accept',
      'spiffe://b.test/payments/**',
    );
    await expect.poll(trusted, patience).toEqual(both('b.test/payments/x', 'c.test/x'));
    await setBundle('b.test', { x509Authorities: [], jwtAuthorities: [] });
    await expect.poll(trusted, patience).toEqual(both('c.test/x'));
    await setBundle('b.test');
    await expect.poll(trusted, patience).toEqual(both('b.test/payments/x', 'c.test/x'));
    await run('federation', 'update', '--trust-domain', 'b.test', '--accept-all');
    await expect.poll(trusted, patience).toEqual(both(...ids));
    await runAdmin(fleet.adminSocket, 'federation', 'delete', 'b.test');
    await expect.poll(trusted, patience).toEqual(both('c.test/x'));
  });
});
