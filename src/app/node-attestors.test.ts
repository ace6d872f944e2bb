import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { openTokens } from '../../test/fakes/open-agents.ts';
import { csrWithoutId, openFleet } from '../../test/fakes/open-fleet.ts';
import { makeSshKeys } from '../../test/fakes/ssh-place.ts';
import { ecKeys, makeCertificate, rsaKeys, testNow } from '../../test/fakes/test-certificates.ts';
import { testTrustDomain } from '../../test/fakes/test-entries.ts';
import { attestationWith, makeNodePki } from '../../test/fakes/x509pop-place.ts';
import { silentLog } from '../ops/index.ts';
import { encodePem, generateP256KeyPair } from '../spiffe/index.ts';
import { buildConfig } from './config.ts';
import { defaultPaths } from './default-paths.ts';
import { openNodeAttestors } from './node-attestors.ts';
import type { NodeAttestorsFile } from './node-attestors-schema.ts';
import { Reloader } from './reloader.ts';

async function open(nodeAttestors: NodeAttestorsFile) {
  const clock = new FakeClock(testNow);
  const process = { clock, log: silentLog, reloader: new Reloader(silentLog) };
  const config = { trustDomain: testTrustDomain, nodeAttestors };
  return (await openNodeAttestors(config, process, openTokens().tokens))();
}

/** The attestors for a CA bundle with this text. */
async function attestorsOf(text: string | undefined) {
  const folder = await mkdtemp(join(tmpdir(), 'trustplane-nodes-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const caBundle = join(folder, 'nodes.pem');
  if (text !== undefined) await writeFile(caBundle, text);
  const agentPathTemplate = '/x509pop/{{ .Subject.CommonName }}';
  return await open({ x509pop: { caBundle, agentPathTemplate } });
}

it('lets nodes of the configured authorities in, over TLS, and again', async () => {
  const { root, middle, node } = await makeNodePki();
  const [, , x509pop] = await attestorsOf(encodePem('CERTIFICATE', root.der));
  if (x509pop === undefined) throw new Error('no x509pop');
  const { dial, agents } = await openFleet({ attestors: [x509pop] });
  const attestation = attestationWith([await node(), middle]);
  for (let attempt = 0; attempt < 2; attempt++) {
    const stream = dial().stream('Agent.AttestAgent');
    const { payload, answer } = await attestation.begin();
    const csr = csrWithoutId(generateP256KeyPair());
    stream.send({ params: { data: { type: 'x509pop', payload }, params: { csr } } });
    const challenge = (await stream.read())?.challenge;
    stream.send({ challenge_response: await answer(challenge ?? new Uint8Array()) });
    expect(await stream.read()).toMatchObject({
      result: { reattestable: true, svid: { id: { path: '/spire/agent/x509pop/node-1' } } },
    });
  }
  expect(agents.count({ attestationType: 'x509pop', canReattest: true })).toBe(1);
});

it.each([
  ['nothing', undefined, 'there is no such file'],
  ['an empty file', '', 'is empty'],
  ['garbage', '-----BEGIN CERTIFICATE-----\nx', 'cannot be used'],
])('refuses to start with %s for a CA bundle', async (_, text, message) => {
  await expect(attestorsOf(text)).rejects.toMatchObject({
    code: 'ERR_NODE_ATTEST_AUTHORITIES',
    message: expect.stringContaining(message),
  });
});

describe('a reload that changes no option', () => {
  /** One attestor with a file of what it believes: another of the same kind, and what is none. */
  const certificate = async (keys = ecKeys()): Promise<string> =>
    encodePem('CERTIFICATE', (await makeCertificate({ keys: await keys, isCa: true })).der);
  const ofRegion = () => certificate(rsaKeys(2_048));
  const sshKey = async (): Promise<string> => {
    const { type, blob } = makeSshKeys();
    return `${type} ${blob.toString('base64')}`;
  };
  const tenant = { id: '11111111-1111-4111-8111-111111111111' };
  const cluster = (caFile: string) => ({
    name: 'prod',
    serviceAccountAllowList: ['a:b'],
    offline: { issuer: 'https://issuer.test', caFile },
  });

  it.each<[string, (file: string) => NodeAttestorsFile, () => Promise<string>]>([
    ['x509pop', (caBundle) => ({ x509pop: { caBundle } }), certificate],
    ['sshpop', (authoritiesFile) => ({ sshpop: { authoritiesFile } }), sshKey],
    [
      'awsIid',
      (file) => ({ awsIid: { anyAccount: true, certificatesFolder: dirname(file) } }),
      ofRegion,
    ],
    ['gcpIit', (caFile) => ({ gcpIit: { projects: ['prod-1'], caFile } }), certificate],
    ['azureMsi', (caFile) => ({ azureMsi: { tenants: [tenant], caFile } }), certificate],
    ['k8sPsat', (file) => ({ k8sPsat: { clusters: [cluster(file)] } }), certificate],
  ])('reads the files of %s again, and keeps it where they are broken', async (name, of, make) => {
    const folder = await mkdtemp(join(tmpdir(), 'trustplane-nodes-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = join(folder, 'eu-central-1.pem');
    await writeFile(file, await make());
    const nodeAttestors = of(file);
    const faults: unknown[] = [];
    const log = { ...silentLog, error: (fields: object) => void faults.push(fields) };
    const reloader = new Reloader(log);
    const process = { clock: new FakeClock(testNow), log: silentLog, reloader };
    const config = { trustDomain: testTrustDomain, nodeAttestors };
    const attestors = await openNodeAttestors(config, process, openTokens().tokens);
    const said = { server: { nodeAttestors } };
    const reload = () =>
      reloader.reload(() => ({ said, config: buildConfig({}, said, defaultPaths(0, {})) }), said);
    const [, , first] = attestors();
    await writeFile(file, await make());
    await reload();
    expect(faults).toEqual([]);
    const [, , second] = attestors();
    expect(second?.name).toBe(first?.name);
    expect(second).not.toBe(first);
    await writeFile(file, '');
    await reload();
    expect(faults).toMatchObject([
      { options: expect.arrayContaining([expect.stringContaining(`.${name}.`)]) },
    ]);
    expect(attestors()[2]).toBe(second);
  });
});

it('lets nodes in with tokens, and back with their last key, where nothing else is configured', async () => {
  expect((await open({})).map(({ name }) => name)).toEqual(['join_token', 'last_key']);
});
