import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../../test/fakes/fake-clock.ts';
import { jwksOf, kubeIssuer, startKubeCluster } from '../../../test/fakes/kube-cluster.ts';
import { openTokens } from '../../../test/fakes/open-agents.ts';
import { testTrustDomain } from '../../../test/fakes/test-entries.ts';
import { checkDocument, parseStrictYaml, silentLog } from '../../ops/index.ts';
import { openNodeAttestation } from '../node-attestation.ts';
import { openNodeAttestors } from '../node-attestors.ts';
import {
  type NodeAttestorsFile,
  nodeAttestationSchema,
  nodeAttestorsSchema,
} from '../node-attestors-schema.ts';
import { Reloader } from '../reloader.ts';

const fixtures = new URL('../../../test/fixtures/ssh/', import.meta.url).pathname;
const now = Date.parse('2026-01-15T12:00:00Z');
const unasked = () => Promise.reject(new Error('nothing is to be asked'));

/** Opens what a file says, and again with others. */
async function open(nodeAttestors: NodeAttestorsFile) {
  const process = { clock: new FakeClock(now), log: silentLog, reloader: new Reloader(silentLog) };
  const config = { trustDomain: testTrustDomain, nodeAttestors };
  return await openNodeAttestors(config, process, openTokens().tokens);
}

const parse = (text: string) => checkDocument(parseStrictYaml(text, 'c.yaml'), nodeAttestorsSchema);

async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'trustplane-hosts-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

it('opens each that stands in the file', async () => {
  const folder = await folderOf({ jwks: '{"keys":[]}' });
  const attestors = await open(
    parse(`
sshpop: { authoritiesFile: ${fixtures}ca.pub, canonicalDomain: prod.example }
httpChallenge: { allowedDnsPatterns: ['*.prod.example'], requiredPort: 80, tofu: false }
k8sPsat:
  clusters:
    - name: prod
      serviceAccountAllowList: ['spire:agent']
      offline: { issuer: x, jwksFile: ${folder}/jwks }
`),
  );
  const names = attestors().map(({ name }) => name);
  expect(names.filter((name) => !['join_token', 'last_key'].includes(name)).sort()).toEqual([
    'http_challenge',
    'k8s_psat',
    'sshpop',
  ]);
});

it('judges tokens of pods by a file of keys, and by the API server of a kubeconfig', async () => {
  const cluster = await startKubeCluster(now / 1_000);
  onTestFinished(() => cluster[Symbol.asyncDispose]());
  const folder = await folderOf({
    jwks: JSON.stringify(jwksOf(cluster.tokenKey)),
    kubeconfig: cluster.kubeconfig(),
    token: `${cluster.token()}\n`,
  });
  const common = 'serviceAccountAllowList: ["trustplane:trustplane-agent"]';
  const attestors = await open(
    parse(`
k8sPsat:
  clusters:
    - { name: near, ${common}, kubeConfigFile: ${folder}/kubeconfig, allowedPodLabelKeys: [app] }
    - { name: far, ${common}, offline: { issuer: ${kubeIssuer}, jwksFile: ${folder}/jwks } }
`),
  );
  const attestor = attestors().find(({ name }) => name === 'k8s_psat');
  for (const name of ['near', 'far']) {
    const settings = { cluster: name, tokenFile: join(folder, 'token') };
    const evidence = await openNodeAttestation({ kind: 'k8sPsat', settings })?.begin();
    const payload = evidence?.payload ?? new Uint8Array();
    const attested = await attestor?.attest(payload, unasked);
    expect(attested?.agentPath).toBe(`/spire/agent/k8s_psat/${name}/${cluster.node.uid}`);
  }
});

it.each([
  ['sshpop: { authoritiesFile: /none }', 'ERR_NODE_ATTEST_AUTHORITIES'],
  [`sshpop: { authoritiesFile: ${fixtures}host_rsa }`, 'ERR_NODE_ATTEST_AUTHORITIES'],
  ['httpChallenge: { allowedDnsPatterns: [a.test], tofu: false }', 'ERR_CONFIG'],
  [
    'k8sPsat: { clusters: [{ name: a, serviceAccountAllowList: ["a:b"], kubeConfigFile: /none }] }',
    'ERR_NODE_ATTEST_KUBECONFIG',
  ],
])('does not start with %s', async (text, code) => {
  await expect(open(parse(text))).rejects.toMatchObject({ code });
});

const allow = 'serviceAccountAllowList: ["a:b"]';
it.each([
  ['httpChallenge: { allowedDnsPatterns: [] }', 'allowedDnsPatterns'],
  ['k8sPsat: { clusters: [] }', 'clusters'],
  ['k8sPsat: { clusters: [{ name: a, serviceAccountAllowList: [] }] }', 'serviceAccountAllowList'],
  [
    'k8sPsat: { clusters: [{ name: a, serviceAccountAllowList: ["b"] }] }',
    'serviceAccountAllowList',
  ],
  [`k8sPsat: { clusters: [{ name: .., ${allow} }] }`, 'name'],
  [`k8sPsat: { clusters: [{ name: a, ${allow} }, { name: a, ${allow} }] }`, 'must differ'],
  [`k8sPsat: { clusters: [{ name: a, ${allow}, audience: [] }] }`, 'audience'],
  [`k8sPsat: { clusters: [{ name: a, ${allow}, offline: { issuer: a } }] }`, 'https URL'],
  [
    `k8sPsat: { clusters: [{ name: a, ${allow}, kubeConfigFile: /k, offline: { issuer: "https://a" } }] }`,
    'kubeConfigFile: says nothing with offline',
  ],
  [
    `k8sPsat: { clusters: [{ name: a, ${allow}, offline: { issuer: a, jwksFile: /j, caFile: /c } }] }`,
    'caFile: says nothing with jwksFile',
  ],
])('refuses %s', (text, message) => {
  expect(() => parse(text)).toThrow(
    expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining(message) }),
  );
});

it('proves a host by the certificate beside its key', async () => {
  const settings = { hostKeyFile: `${fixtures}host_ecdsa` };
  const evidence = await openNodeAttestation({ kind: 'sshpop', settings })?.begin();
  const [, certificate = ''] = (await readFile(`${fixtures}host_ecdsa-cert.pub`, 'utf8')).split(
    ' ',
  );
  expect(JSON.parse(Buffer.from(evidence?.payload ?? []).toString())).toEqual({
    Certificate: certificate,
  });
});

it('answers at a free port for the name that is configured', async () => {
  const settings = { hostname: 'a.test', bindAddress: { host: '127.0.0.1', port: 0 } };
  const evidence = await openNodeAttestation({ kind: 'httpChallenge', settings })?.begin();
  onTestFinished(() => evidence?.end?.());
  expect(JSON.parse(Buffer.from(evidence?.payload ?? []).toString())).toMatchObject({
    hostname: 'a.test',
    agentname: 'default',
  });
});

it('says when there is no token of a pod', async () => {
  const attestation = openNodeAttestation({
    kind: 'k8sPsat',
    settings: { cluster: 'a', tokenFile: '/none' },
  });
  await expect(attestation?.begin()).rejects.toMatchObject({ code: 'ERR_NODE_ATTEST_IDENTITY' });
  expect(nodeAttestationSchema.safeParse({ k8sPsat: { cluster: '..' } }).success).toBe(false);
});
