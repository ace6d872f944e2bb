import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseCertificate } from '../../src/spiffe/index.ts';
import { eventually } from '../programs/eventually.ts';
import { type LaunchedAgent, startAgent, writeBundle } from '../programs/launch-agent.ts';
import type { RunningEnvoy } from '../programs/launch-envoy.ts';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { launchSidecars } from '../programs/sidecar-pair.ts';
import { startTraffic } from '../programs/traffic.ts';

/** `ROUNDS=20` for a longer drill. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 2);

const folder = createRunFolder();
afterAll(() => folder.remove());

/** Consumers of the root's bundle have it after 3 s. */
const rootConfig = 'server:\n  bundle:\n    refreshHint: 1s\n  x509Svid:\n    ttl: 60s\n';
const selectors = ['--selector', `unix:uid:${process.getuid?.() ?? 0}`];

interface Plane {
  readonly server: LaunchedServer;
  readonly agent: LaunchedAgent;
  readonly agentId: string;
}

/** A server with an agent that has joined it. */
async function launchPlane(name: string, config: string): Promise<Plane> {
  const at = path.join(folder.path, name);
  mkdirSync(at, { recursive: true });
  const server = await launchServer(at, { config });
  const bundle = await writeBundle(at, server);
  const token = await server.makeToken();
  const flags = ['--join-token', token, '--bundle-file', bundle];
  const agent = startAgent(at, { servers: [`127.0.0.1:${server.port}`], flags });
  return { server, agent, agentId: await agent.id };
}

function addEntry({ server, agentId }: Plane, id: string, ...flags: string[]): Promise<unknown> {
  const spiffeId = `spiffe://example.org/${id}`;
  const words = ['--spiffe-id', spiffeId, '--parent-id', agentId, ...selectors, ...flags];
  return server.ask('entry', 'create', ...words);
}

function nestedConfig({ server, agent }: Plane): string {
  return `server:
  bundle:
    refreshHint: 1s
  x509Svid:
    ttl: 60s
  ca:
    upstream:
      spire:
        servers: ['127.0.0.1:${server.port}']
        workloadApiSocket: ${agent.socket}
        spiffeId: spiffe://example.org/nested-server
`;
}

interface Authority {
  readonly authorityId: string;
  readonly slot: string;
  readonly upstreamId: string | null;
}

async function authoritiesOf({ server }: Plane): Promise<readonly Authority[]> {
  return (await server.ask('authority', 'x509', 'show')).authorities;
}

async function activeOf(plane: Plane): Promise<Authority | undefined> {
  return (await authoritiesOf(plane)).find(({ slot }) => slot === 'active');
}

/** The authorities of the bundle, in PEM. */
async function rootsOf({ server }: Plane): Promise<string> {
  const { stdout } = await runTrustplane('bundle', 'show', '--admin-socket', server.adminSocket);
  return stdout;
}

/** Subject key identifier of the authority that stands above what an Envoy presents. */
async function rootAbove(envoy: RunningEnvoy): Promise<string | undefined> {
  const secrets = await envoy.secrets();
  const top = secrets.find(({ chain }) => chain.length > 0)?.chain.at(-1);
  const authorities = secrets.flatMap((secret) => [...secret.authorities.values()].flat());
  const root = authorities.find(({ publicKey }) => top?.verify(publicKey));
  if (root === undefined) return undefined;
  const { subjectKeyId } = parseCertificate(new Uint8Array(root.raw));
  return Buffer.from(subjectKeyId ?? []).toString('hex');
}

/** The next authority signs; returns the former one. */
async function rotate(plane: Plane): Promise<string> {
  const former = await activeOf(plane);
  const { authorityId } = await plane.server.ask('authority', 'x509', 'prepare');
  await plane.server.ask('authority', 'x509', 'activate', authorityId, '--wait', '60s');
  return former?.authorityId ?? '';
}

describe('a server below a server', () => {
  it('workloads of both do mTLS while the root and the intermediate are replaced', async () => {
    await using stack = new AsyncDisposableStack();
    const root = await launchPlane('root', rootConfig);
    stack.defer(() => void root.agent.stop());
    stack.defer(() => void root.server.stop());
    await addEntry(root, 'nested-server', '--downstream');
    await addEntry(root, 'client');
    const nested = await launchPlane('nested', nestedConfig(root));
    stack.defer(() => void nested.agent.stop());
    stack.defer(() => void nested.server.stop());
    await addEntry(nested, 'service');
    const pair = await launchSidecars({
      folder: folder.path,
      agentSocket: { client: root.agent.socket, server: nested.agent.socket },
      clientId: 'spiffe://example.org/client',
      serverId: 'spiffe://example.org/service',
      protocol: 'delta',
    });
    stack.defer(() => pair.stop());
    const envoys = [pair.client, pair.server];
    await eventually('the first request', async () => {
      const { status } = await pair.request();
      return status === 200 || undefined;
    });
    const traffic = startTraffic(pair);
    stack.defer(() => traffic.stop());

    for (let round = 0; round < ROUNDS; round++) {
      await rotate(nested);
      const oldRoot = await rotate(root);
      expect((await activeOf(nested))?.upstreamId).toBe(oldRoot);
      const newRoot = (await activeOf(root))?.authorityId ?? '';
      // What stands below it is replaced before anybody is told that it is tainted.
      await root.server.ask('authority', 'x509', 'taint', oldRoot);
      await eventually('the nested server stands below the new root', async () => {
        return (await activeOf(nested))?.upstreamId === newRoot || undefined;
      });
      await eventually('both Envoys present what leads to the new root', async () => {
        const roots = await Promise.all(envoys.map(rootAbove));
        return roots.every((root) => root === newRoot) || undefined;
      });
      await root.server.ask('authority', 'x509', 'revoke', oldRoot);
      await eventually('the old root has left the bundle of the nested server', async () => {
        return (await rootsOf(nested)) === (await rootsOf(root)) || undefined;
      });
      expect(traffic.counts().failures, `round ${round}`).toEqual([]);
    }
    await traffic.stop();
    expect(traffic.counts().ok).toBeGreaterThan(100);
  });

  it('goes on without the server above, also when it is started anew', async () => {
    await using stack = new AsyncDisposableStack();
    const root = await launchPlane('root-2', rootConfig);
    stack.defer(() => void root.agent.stop());
    await addEntry(root, 'nested-server', '--downstream');
    const config = nestedConfig(root);
    const nested = await launchPlane('nested-2', config);
    stack.defer(() => void nested.agent.stop());
    await addEntry(nested, 'service');
    const before = await activeOf(nested);
    await root.server.stop();
    await nested.server.stop();
    const { port } = nested.server;
    const again = await launchServer(path.join(folder.path, 'nested-2'), { config, port });
    stack.defer(() => void again.stop());
    expect(await activeOf({ ...nested, server: again })).toEqual(before);
    // A host joins, and its workloads are served.
    const token = await again.makeToken();
    const at = path.join(folder.path, 'late');
    mkdirSync(at);
    const bundle = await writeBundle(at, again);
    const flags = ['--join-token', token, '--bundle-file', bundle];
    const late = startAgent(at, { servers: [`127.0.0.1:${port}`], flags });
    stack.defer(() => void late.stop());
    const agentId = await late.id;
    await addEntry({ server: again, agent: late, agentId }, 'late');
    const { code, stdout } = await late.fetch();
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('/late') });
  });
});
