import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import {
  type KubeCluster,
  kubeIssuer,
  startKubeCluster,
} from '../../../../test/fakes/kube-cluster.ts';
import {
  createAskHttp,
  createKubeApi,
  fetchIssuerKeys,
  loadInClusterAccess,
  loadKubeconfig,
} from '../../index.ts';

async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'trustplane-kube-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

async function startCluster(): Promise<KubeCluster> {
  const cluster = await startKubeCluster(0);
  onTestFinished(() => cluster[Symbol.asyncDispose]());
  return cluster;
}

const apiOf = (access: () => ReturnType<typeof loadKubeconfig>) =>
  createKubeApi({ access, openAsk: createAskHttp });

it('reaches an API server as a kubeconfig says', async () => {
  const cluster = await startCluster();
  const folder = await folderOf({ config: cluster.kubeconfig() });
  const api = apiOf(() => loadKubeconfig(join(folder, 'config')));
  expect((await api.findNode(cluster.node.name))?.get('kind')).toBe('Node');
  expect(await api.findPod('other', 'none')).toBeUndefined();
});

it('reads tokens and certificates that are named beside it, each time', async () => {
  const cluster = await startCluster();
  const config = JSON.parse(cluster.kubeconfig());
  config.users[0].user = { tokenFile: 'token' };
  const { server } = config.clusters[0].cluster;
  config.clusters[0].cluster = { server, 'certificate-authority': 'ca.pem' };
  const folder = await folderOf({
    config: JSON.stringify(config),
    'ca.pem': cluster.authority,
    token: 'old\n',
  });
  const api = apiOf(() => loadKubeconfig(join(folder, 'config')));
  await expect(api.findNode('a')).rejects.toMatchObject({ code: 'ERR_NODE_ATTEST_API' });
  await writeFile(join(folder, 'token'), `${cluster.adminToken}\n`);
  await expect(api.findNode('a')).resolves.toBeDefined();
});

it('reaches the API server of its own cluster', async () => {
  const cluster = await startCluster();
  const folder = await folderOf({ 'ca.crt': cluster.authority, token: cluster.adminToken });
  const { hostname, port } = new URL(cluster.server.origin);
  const env = { KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port };
  await expect(apiOf(() => loadInClusterAccess(env, folder)).findNode('a')).resolves.toBeDefined();
  const six = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' };
  expect((await loadInClusterAccess(six, folder)).server).toBe('https://[fd00::1]');
  await expect(loadInClusterAccess({}, folder)).rejects.toMatchObject({
    code: 'ERR_NODE_ATTEST_KUBECONFIG',
    message: expect.stringContaining('set kubeConfigFile'),
  });
});

it('believes no API server of another authority', async () => {
  const cluster = await startCluster();
  const others = 'machine';
  const access = { server: cluster.server.origin, certificateAuthorities: '', token: others };
  const ask = createAskHttp();
  const api = createKubeApi({ access: async () => access, openAsk: () => ask });
  await expect(api.findNode('a')).rejects.toMatchObject({
    code: 'ERR_NODE_ATTEST_API',
    message: expect.stringContaining('unable to verify'),
  });
  expect(cluster.server.calls).toEqual([]);
});

type Config = { users: { user: object }[]; clusters: { cluster: object }[] };

it.each<[string, (config: Config) => unknown, string]>([
  [
    'a plug-in',
    (config) => ({ ...config, users: [{ name: 'server', user: { exec: {} } }] }),
    'users',
  ],
  [
    'a password',
    (config) => ({ ...config, users: [{ name: 'server', user: { username: 'a' } }] }),
    'users',
  ],
  [
    'no secret',
    (config) => ({ ...config, users: [{ name: 'server', user: {} }] }),
    'neither a token',
  ],
  ['no such context', (config) => ({ ...config, 'current-context': 'x' }), 'is not there whole'],
  ['no contexts', () => ({ kind: 'Config' }), 'current-context'],
  [
    'TLS that is not verified',
    (config) => ({
      ...config,
      clusters: [
        { name: 'prod', cluster: { server: 'https://a', 'insecure-skip-tls-verify': true } },
      ],
    }),
    'insecure-skip-tls-verify',
  ],
  [
    'no TLS',
    (config) => ({
      ...config,
      clusters: [
        { name: 'prod', cluster: { server: 'http://a', 'certificate-authority-data': 'AAAA' } },
      ],
    }),
    'https://host:port',
  ],
  [
    'no authority',
    (config) => ({
      ...config,
      clusters: [{ name: 'prod', cluster: { server: 'https://a' } }],
    }),
    'no certificate-authority',
  ],
])('refuses a kubeconfig with %s', async (_, change, message) => {
  const cluster = await startCluster();
  const config = JSON.stringify(change(JSON.parse(cluster.kubeconfig())));
  const folder = await folderOf({ config });
  await expect(loadKubeconfig(join(folder, 'config'))).rejects.toMatchObject({
    code: 'ERR_NODE_ATTEST_KUBECONFIG',
    message: expect.stringContaining(message),
  });
});

it('takes keys of an issuer from where its configuration says, and of no other issuer', async () => {
  const asked: string[] = [];
  const answers = (document: object) => async (url: string) => {
    asked.push(url);
    const body = url.endsWith('openid-configuration') ? document : { keys: [] };
    return { status: 200, body: Buffer.from(JSON.stringify(body)) };
  };
  const jwks = 'https://10.0.0.1:6443/openid/v1/jwks';
  const keys = await fetchIssuerKeys(answers({ issuer: kubeIssuer, jwks_uri: jwks }), kubeIssuer);
  expect(Buffer.from(keys).toString()).toBe('{"keys":[]}');
  expect(asked).toEqual([`${kubeIssuer}/.well-known/openid-configuration`, jwks]);
  for (const document of [
    { issuer: 'https://evil.test', jwks_uri: jwks },
    { issuer: kubeIssuer, jwks_uri: 'http://10.0.0.1/jwks' },
    { issuer: kubeIssuer },
  ]) {
    await expect(fetchIssuerKeys(answers(document), kubeIssuer)).rejects.toMatchObject({
      code: 'ERR_NODE_ATTEST_CLOUD',
    });
  }
});
