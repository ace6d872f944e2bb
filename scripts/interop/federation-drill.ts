import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  emptyBundle,
  encodePem,
  serializeBundleDocument,
  TrustDomain,
} from '../../src/spiffe/index.ts';
import { makeAuthority, type TestCertificate } from '../../test/fakes/test-certificates.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { runProgram } from '../../test/programs/run-program.ts';
import type { InteropPlace } from '../../test/programs/spire/interop-place.ts';
import { createEntry, slow } from './interop-mesh.ts';
import type { Drill } from './run-drill.ts';

const WEB = 'spiffe://example.org/web';

interface World {
  readonly place: InteropPlace;
  readonly authorities: readonly [TestCertificate, TestCertificate];
  /** The authorities a workload was given of each foreign trust domain, in base64. */
  readonly federated: () => Promise<Readonly<Record<string, string>>>;
}

/** Bundles of foreign trust domains and relationships, administered with SPIRE's command line. */
export const federationDrill: Drill<World> = {
  name: 'federated bundles',
  lives: { caSeconds: 3_600, x509SvidSeconds: 3_600, agentSeconds: 3_600 },
  async open(place) {
    const token = await place.admin.createToken('-spiffeID', 'spiffe://example.org/node');
    const agent = await place.createAgent('node', { token });
    await agent.start();
    return {
      place,
      authorities: [await issueAuthority(), await issueAuthority()],
      federated: async () => await federatedAt(place.spire.agent, agent.socket),
    };
  },
  check: () => {},
  steps: {
    'bundles are set in both formats, and listed': async ({ place, authorities: [one] }) => {
      await setPem(place, 'b.test', one);
      await setDocument(place, 'c.test', 7n, one);
      assert.deepEqual(await listed(place), ['b.test', 'c.test']);
      assert.match(await place.admin.run('bundle', 'list', '-id', 'spiffe://c.test'), /BEGIN/u);
      assert.match(await place.admin.run('bundle', 'count'), /\b3\b/u);
    },
    'nobody sets the own bundle': async ({ place, authorities: [one] }) => {
      await assert.rejects(setPem(place, 'example.org', one));
    },
    'a workload gets the bundle its entry federates with': async (world) => {
      const { place, authorities } = world;
      await createEntry(place, WEB, '-federatesWith', 'spiffe://b.test');
      await reaches(world, { 'b.test': [authorities[0]] });
    },
    'another authority reaches it': async (world) => {
      await setPem(world.place, 'b.test', ...world.authorities);
      await reaches(world, { 'b.test': world.authorities });
    },
    'a bundle in use is not deleted': async ({ place }) => {
      await assert.rejects(place.admin.run('bundle', 'delete', '-id', 'spiffe://b.test'));
    },
    'a bundle is taken from the entries that federate with it': async (world) => {
      const before = await entryCount(world.place);
      await deleteBundle(world.place, 'b.test', 'dissociate');
      await reaches(world, {});
      assert.deepEqual(await listed(world.place), ['c.test']);
      assert.equal(await entryCount(world.place), before);
    },
    'a bundle is deleted with the entries that federate with it': async ({ place }) => {
      const before = await entryCount(place);
      await createEntry(place, 'spiffe://example.org/gone', '-federatesWith', 'spiffe://c.test');
      await deleteBundle(place, 'c.test', 'delete');
      assert.equal(await entryCount(place), before);
      assert.deepEqual(await listed(place), []);
    },
    'relationships are created, changed, listed and deleted': relationships,
  },
};

async function relationships({ place, authorities: [one] }: World): Promise<void> {
  const { admin } = place;
  const file = await writeDocument(place, 'd.test', 3n, one);
  const target = ['-trustDomain', 'd.test'];
  const to = (profile: string, url: string): readonly string[] =>
    target.concat('-bundleEndpointURL', url, '-bundleEndpointProfile', profile);
  const id = ['-endpointSpiffeID', 'spiffe://d.test/spire/server'];
  const bundle = ['-trustDomainBundlePath', file, '-trustDomainBundleFormat', 'spiffe'];
  const spiffe = to('https_spiffe', 'https://127.0.0.1:1/');
  await admin.run('federation', 'create', ...spiffe, ...id, ...bundle);
  assert.deepEqual(await listed(place), ['d.test']);
  await assert.rejects(admin.run('federation', 'create', ...spiffe, ...id));
  await assert.rejects(admin.run('federation', 'update', ...to('https_web', 'http://d.test/')));
  await admin.run('federation', 'update', ...to('https_web', 'https://127.0.0.1:2/'));
  const shown = await admin.run('federation', 'show', ...target);
  assert.match(shown, /https:\/\/127\.0\.0\.1:2\/[^]*https_web/u);
  assert.match(await admin.run('federation', 'list'), /Found 1 federation relationship/u);
  await admin.run('federation', 'delete', '-id', 'd.test');
  assert.match(await admin.run('federation', 'list'), /Found 0 federation relationships/u);
}

const issueAuthority = (): Promise<TestCertificate> =>
  makeAuthority({ uris: [], notBefore: Date.now() - 60_000, notAfter: Date.now() + 86_400_000 });

async function setPem(
  { folder, admin }: InteropPlace,
  name: string,
  ...authorities: readonly TestCertificate[]
): Promise<void> {
  const file = path.join(folder, `${name}.pem`);
  await writeFile(file, authorities.map(({ der }) => encodePem('CERTIFICATE', der)).join(''));
  await admin.run('bundle', 'set', '-id', `spiffe://${name}`, '-path', file);
}

async function setDocument(
  place: InteropPlace,
  name: string,
  sequence: bigint,
  authority: TestCertificate,
): Promise<void> {
  const file = await writeDocument(place, name, sequence, authority);
  const what = ['-id', `spiffe://${name}`, '-format', 'spiffe', '-path', file];
  await place.admin.run('bundle', 'set', ...what);
}

async function writeDocument(
  { folder }: InteropPlace,
  name: string,
  sequenceNumber: bigint,
  { der }: TestCertificate,
): Promise<string> {
  const file = path.join(folder, `${name}.json`);
  const x509Authorities = [{ certificate: der, tainted: false }];
  const bundle = { ...emptyBundle(TrustDomain.parse(name)), x509Authorities, sequenceNumber };
  await writeFile(file, serializeBundleDocument(bundle));
  return file;
}

async function deleteBundle({ admin }: InteropPlace, name: string, mode: string): Promise<void> {
  await admin.run('bundle', 'delete', '-id', `spiffe://${name}`, '-mode', mode);
}

async function listed({ admin }: InteropPlace): Promise<readonly string[]> {
  const { bundles }: { bundles: { trust_domain: string }[] } = JSON.parse(
    await admin.run('bundle', 'list', '-output', 'json'),
  );
  return bundles.map(({ trust_domain }) => trust_domain).toSorted();
}

async function entryCount({ admin }: InteropPlace): Promise<string> {
  return await admin.run('entry', 'count');
}

/** Waits until the workload has exactly these authorities of foreign trust domains. */
async function reaches(
  { federated }: World,
  expected: Readonly<Record<string, readonly TestCertificate[]>>,
): Promise<void> {
  const wanted = Object.fromEntries(
    Object.entries(expected).map(([name, authorities]) => [
      name,
      Buffer.concat(authorities.map(({ der }) => der)).toString('base64'),
    ]),
  );
  const isThere = async (): Promise<boolean> => {
    assert.deepEqual(await federated(), wanted);
    return true;
  };
  await eventually(`the workload has bundles of ${Object.keys(expected).join()}`, isThere, slow);
}

async function federatedAt(program: string, socket: string) {
  const args = ['api', 'fetch', 'x509', '-output', 'json', '-socketPath', socket];
  const { code, stdout, stderr } = await runProgram(program, args);
  if (code !== 0) throw new Error(`${stdout}${stderr}`.trim());
  const { federated_bundles = {} }: { federated_bundles?: Record<string, string> } =
    JSON.parse(stdout);
  return Object.fromEntries(
    Object.entries(federated_bundles).map(([id, der]) => [id.replace('spiffe://', ''), der]),
  );
}
