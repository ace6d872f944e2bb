import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer, type Server } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { BootstrapFlags } from '../../src/envoy/index.ts';
import { launchTrustplane, type RunningTrustplane } from '../programs/launch-trustplane.ts';
import { launchMadeSidecars, type MadeSidecars, madeIds } from '../programs/made-sidecars.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import { requestUnix } from '../programs/unix-http.ts';

let ground: RunFolder;
let trustplane: RunningTrustplane;
let authzSocket: string;
beforeAll(async () => {
  ground = createRunFolder();
  authzSocket = path.join(ground.path, 'authz.sock');
  const policies = path.join(ground.path, 'policies');
  mkdirSync(policies);
  const policy = {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'server' },
    service: madeIds.server,
    rules: [{ id: 'reads', from: [madeIds.client], allow: ['GET /items/**'] }],
  };
  writeFileSync(path.join(policies, 'server.yaml'), JSON.stringify(policy));
  const config = path.join(ground.path, 'trustplane.yaml');
  writeFileSync(config, JSON.stringify({ authz: { socket: authzSocket, policies } }));
  trustplane = await launchTrustplane(ground.path, '--config', config);
  for (const id of Object.values(madeIds)) await trustplane.createEntry(id);
});
afterAll(async () => {
  await trustplane.stop();
  await ground.remove();
});

type Flags = Partial<BootstrapFlags>;

async function launch(flags: { both?: Flags; server?: Flags }): Promise<MadeSidecars> {
  const folder = createRunFolder();
  onTestFinished(async () => await folder.remove());
  const pair = await launchMadeSidecars(folder.path, trustplane.socket, flags);
  onTestFinished(async () => await pair.stop());
  await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
  return pair;
}

async function listen(server: Server, socketPath: string): Promise<void> {
  server.listen(socketPath);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
}

/** HTTP, before an application that answers with what it saw of the caller. */
async function launchHttp(server: Flags, both: Flags = {}): Promise<MadeSidecars> {
  const pair = await launch({ server, both });
  await listen(
    createServer((request, response) =>
      response.end(String(request.headers['x-forwarded-client-cert'])),
    ),
    pair.application,
  );
  return pair;
}

async function status(pair: MadeSidecars, target: string, headers = {}): Promise<number> {
  return (await requestUnix({ socketPath: pair.egress, path: target, headers })).status;
}

/** The lines that the server's Envoy has written; it ends, which is when it writes the last. */
async function logged({ server, accessLog }: MadeSidecars): Promise<readonly unknown[]> {
  await server.stop();
  const lines = readFileSync(accessLog, 'utf8').trim().split('\n');
  return lines.map((line): unknown => JSON.parse(line));
}

describe('sidecars that envoy bootstrap made', () => {
  it('let those in who are named, where nobody decides', async () => {
    const pair = await launchHttp({ authz: 'none', callerId: [madeIds.client] });
    const { body } = await requestUnix({ socketPath: pair.egress, path: '/' });
    expect(body).toContain(`URI=${madeIds.client}`);
    const [line] = await logged(pair);
    expect(line).toMatchObject({
      status: 200,
      peer: madeIds.client,
      service: madeIds.server,
      peerSerial: expect.stringMatching(/^[0-9a-f]{2,}$/u),
    });
  });

  it('let nobody else in', async () => {
    const pair = await launchHttp({ authz: 'none', callerId: ['spiffe://example.org/other'] });
    expect(await status(pair, '/')).toBe(503);
    const [refused] = (await pair.server.stats('ssl.fail_verify_san')).values();
    expect(refused).toBeGreaterThan(0);
  });

  it('do as Check says', async () => {
    const pair = await launchHttp({ authz: 'check', authzSocket }, { sotw: true });
    expect(await status(pair, '/items/1')).toBe(200);
    expect(await status(pair, '/others/1')).toBe(403);
    expect(await logged(pair)).toMatchObject([
      { extAuthz: { rule: 'reads' }, rbac: null, path: '/items/1' },
      { extAuthz: { reason: 'no_rule_matched' }, details: 'ext_authz_denied' },
    ]);
  });

  it('leave all to Check while there are no rules in Envoy', async () => {
    const pair = await launchHttp({ authzSocket });
    expect(await status(pair, '/items/1')).toBe(200);
    expect(await status(pair, '/others/1')).toBe(403);
    expect(await logged(pair)).toMatchObject([
      { extAuthz: { rule: 'reads' } },
      { extAuthz: { reason: 'no_rule_matched' } },
    ]);
  });

  it('let nobody in while there are no rules in Envoy and nobody to ask', async () => {
    const pair = await launchHttp({});
    expect(await status(pair, '/items/1', { 'x-envoy-original-path': '/items/1' })).toBe(403);
    expect(await logged(pair)).toMatchObject([
      { status: 403, details: 'rbac_access_denied_matched_policy[policy_missing]' },
    ]);
  });
});

/** What comes from an application that says `greeting` first, before the connection ends or `bytes` are there. */
async function hear(pair: MadeSidecars, say: string): Promise<string> {
  const socket = connect(pair.egress);
  onTestFinished(() => void socket.destroy());
  let heard = '';
  const done = new Promise<void>((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString();
      if (heard.includes('!')) resolve();
    });
    socket.on('close', () => resolve());
    socket.on('error', () => resolve());
  });
  socket.write(say);
  await done;
  return heard;
}

async function launchTcp(server: Flags): Promise<MadeSidecars & { readonly met: () => number }> {
  const pair = await launch({ both: { tcp: true }, server });
  let met = 0;
  const application = createTcpServer((socket) => {
    met += 1;
    socket.on('error', () => {});
    socket.write('greeting ');
    socket.on('data', (chunk: Buffer) => socket.write(`echo ${chunk.toString()}`));
  });
  await listen(application, pair.application);
  return { ...pair, met: () => met };
}

describe('sidecars of TCP that envoy bootstrap made', () => {
  it('carry bytes of those who are named', async () => {
    const pair = await launchTcp({ authz: 'none', callerId: [madeIds.client] });
    expect(await hear(pair, 'x!')).toBe('greeting echo x!');
  });

  it.each([[{}], [{ authz: 'check', authzSocket: '/nowhere.sock' } as const]])(
    'tell those who are denied nothing of what the application says first, with %j',
    async (server) => {
      const pair = await launchTcp(server);
      expect(await hear(pair, 'x!')).toBe('');
      expect(pair.met()).toBe(0);
    },
  );
});
