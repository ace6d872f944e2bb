import { KeyObject } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { encodePem } from '../../src/spiffe/index.ts';
import { makeAuthority, makeCertificate } from '../fakes/test-certificates.ts';
import { eventually } from '../programs/eventually.ts';
import {
  type AgentOptions,
  type LaunchedAgent,
  startAgent,
  writeBundle,
} from '../programs/launch-agent.ts';
import {
  type LaunchedServer,
  type LaunchOptions,
  launchServer,
} from '../programs/launch-server.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { launchSidecars } from '../programs/sidecar-pair.ts';

const UID = `unix:uid:${process.getuid?.() ?? 0}`;
const WEB = 'spiffe://example.org/web';

/** A folder, and a server in it; both go when the test ends. */
async function place(options: LaunchOptions = {}) {
  const folder = createRunFolder();
  onTestFinished(() => folder.remove());
  let server = await launchServer(folder.path, options);
  onTestFinished(async () => void (await server.stop()));
  const address = (): string => `127.0.0.1:${server.port}`;
  const bundle = await writeBundle(folder.path, server);
  return {
    folder: folder.path,
    address,
    bundle,
    server: () => server,
    /** On the same port, with the same data. */
    async restart() {
      server = await launchServer(folder.path, { ...options, port: server.port });
    },
    /** An agent in a folder of its own, which ends with the test. */
    agent(name: string, more: AgentOptions) {
      const own = path.join(folder.path, name);
      mkdirSync(own, { recursive: true });
      const agent = startAgent(own, { servers: [address()], ...more });
      onTestFinished(async () => void (await agent.stop()));
      return agent;
    },
    async joinFlags(): Promise<string[]> {
      return ['--bundle-file', bundle, '--join-token', await server.makeToken()];
    },
  };
}

async function ask(...args: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await runTrustplane(...args, '--output', 'json');
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

async function createEntry(server: LaunchedServer, spiffeId: string, parentId: string) {
  const what = ['--spiffe-id', spiffeId, '--parent-id', parentId, '--selector', UID];
  return await server.ask('entry', 'create', ...what);
}

/** Resolves when a workload is served exactly these, sorted. */
async function served(agent: LaunchedAgent, ...ids: readonly string[]): Promise<void> {
  await eventually(`${ids.length} identities`, async () => {
    const { code, stdout } = await agent.fetch();
    if (code !== 0) return undefined;
    const { svids }: { svids: { spiffeId: string }[] } = JSON.parse(stdout);
    const found = svids.map(({ spiffeId }) => spiffeId).sort();
    return found.join() === ids.join() ? true : undefined;
  });
}

it('joins with a token, serves its workloads, and goes on when the server dies', async () => {
  const { server, agent: start, joinFlags, restart, address } = await place();
  const agent = start('a', { flags: await joinFlags() });
  const id = await agent.id;
  expect(id).toMatch(/^spiffe:\/\/example\.org\/spire\/agent\/join_token\//u);
  await createEntry(server(), WEB, id);
  await served(agent, WEB);
  expect(await ask('status', '--agent', '--socket', agent.socket)).toMatchObject({
    agentId: id,
    server: address(),
    entries: 1,
    healthy: true,
  });
  const check = ['healthcheck', '--only', 'agent', '--socket', agent.socket];
  expect(await ask(...check)).toEqual({ healthy: true, agent: 'serving' });
  server().kill('SIGKILL');
  await server().ended;
  expect((await agent.fetch()).stdout).toContain(WEB);
  await restart();
  await createEntry(server(), 'spiffe://example.org/api', id);
  await served(agent, 'spiffe://example.org/api', WEB);
  expect(await agent.stop()).toBe(0);
});

it('carries traffic between Envoys', async () => {
  const { server, agent: start, joinFlags, folder } = await place();
  const agent = start('a', { flags: await joinFlags() });
  const id = await agent.id;
  const ids = { clientId: 'spiffe://example.org/client', serverId: 'spiffe://example.org/server' };
  for (const spiffeId of Object.values(ids)) await createEntry(server(), spiffeId, id);
  const pair = await launchSidecars({
    folder,
    agentSocket: agent.socket,
    ...ids,
    protocol: 'delta',
  });
  onTestFinished(() => pair.stop());
  await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
  expect((await pair.request()).status).toBe(200);
});

it('says why it may not join: the token is spent, the server is another', async () => {
  const { agent: start, joinFlags, folder } = await place();
  const flags = await joinFlags();
  await start('a', { flags }).id;
  const second = start('b', { flags });
  expect(await second.ended).toBe(2);
  expect(second.log.join('\n')).toContain('ERR_JOIN_TOKEN_UNUSABLE');
  const { der } = await makeAuthority({ uris: ['spiffe://example.org'] });
  const wrong = path.join(folder, 'wrong.pem');
  writeFileSync(wrong, encodePem('CERTIFICATE', der));
  const third = start('c', { flags: ['--bundle-file', wrong, '--join-token', 'a'.repeat(32)] });
  expect(await third.ended).toBe(6);
  expect(third.log.join('\n')).toContain('ERR_NODE_SERVER');
  const fourth = start('d', { flags: ['--join-token', 'a'.repeat(32)] });
  expect(await fourth.ended).toBe(7);
  expect(fourth.log.join('\n')).toContain('agent.bootstrap');
});

it('warns loudly when it believes whoever answers', async () => {
  const { agent: start, server } = await place();
  const token = await server().makeToken();
  const agent = start('a', { flags: ['--insecure-bootstrap', '--join-token', token] });
  expect(await agent.line('INSECURE')).toContain('"level":"warn"');
  await agent.id;
});

it('finds the server that answers beside one that is silent and one that is not there', async () => {
  const { agent: start, joinFlags, address } = await place();
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void silent.close());
  const bound = silent.address();
  const port = typeof bound === 'object' ? bound?.port : 0;
  const servers = [`127.0.0.1:${port}`, '127.0.0.1:1', address()];
  const agent = start('a', { servers, flags: await joinFlags() });
  await agent.id;
  expect(await agent.line('"ready":true')).toContain(`"server":"${address()}"`);
});

it('attests again with its certificate when it was evicted, and serves nothing when it is banned', async () => {
  const folder = createRunFolder();
  onTestFinished(() => folder.remove());
  const now = Date.now();
  const life = { notBefore: now - 60_000, notAfter: now + 3_600_000 };
  const root = await makeAuthority({ subject: 'CN=nodes', uris: [], ...life });
  const plain = { subject: 'CN=node-1', uris: [], extendedKeyUsage: null, issuer: root };
  const node = await makeCertificate({ ...plain, ...life });
  const file = (name: string, label: string, der: Uint8Array): string => {
    writeFileSync(path.join(folder.path, name), encodePem(label, der));
    return path.join(folder.path, name);
  };
  const key = KeyObject.from(node.keys.privateKey).export({ type: 'pkcs8', format: 'der' });
  const caBundle = file('nodes.pem', 'CERTIFICATE', root.der);
  const config = `
agent:
  bootstrap: { insecure: true }
  nodeAttestation:
    x509pop:
      certificateFile: ${file('node.pem', 'CERTIFICATE', node.der)}
      privateKeyFile: ${file('node.key', 'PRIVATE KEY', key)}
`;
  const { server, agent: start } = await place({
    config: `
server:
  nodeAttestors:
    x509pop: { caBundle: ${caBundle}, agentPathTemplate: '/x509pop/{{ .Subject.CommonName }}' }
`,
  });
  const agent = start('a', { config });
  const id = await agent.id;
  expect(id).toBe('spiffe://example.org/spire/agent/x509pop/node-1');
  await createEntry(server(), WEB, id);
  await served(agent, WEB);
  await server().ask('agent', 'evict', id);
  await eventually(
    'attested again',
    async () => (await server().ask('agent', 'count')).count === 1,
  );
  await served(agent, WEB);
  await server().ask('agent', 'ban', id);
  const refused = await eventually('nothing', async () => {
    const finished = await agent.fetch();
    return finished.code === 0 ? undefined : finished;
  });
  expect(refused.stderr).toContain('no registration entry');
  expect(agent.log.join('\n')).toContain('this agent is banned');
});
