import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateP256KeyPair } from '../../src/spiffe/index.ts';
import type { TlsIdentity } from '../../src/wire/index.ts';
import { csrWithoutId, type FleetClient } from '../fakes/open-fleet.ts';
import { eventually } from '../programs/eventually.ts';
import {
  joinServer,
  type LaunchedServer,
  launchServer,
  logOf,
  program,
} from '../programs/launch-server.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { listeningPorts } from '../programs/listening-ports.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import { spawnTied } from '../programs/tied-child.ts';
import { watchHealth } from '../programs/watch-health.ts';

/** One SVID a second, so that calls are in flight for as long as a test wants. */
const CONFIG = "server: { rateLimits: { signing: 1 } }\nmetrics: { address: '127.0.0.1:0' }\n";

let folder: RunFolder;
let server: LaunchedServer;
let client: FleetClient;
let entryId: string;

beforeEach(async () => {
  folder = createRunFolder();
});

afterEach(async () => {
  client.close();
  await server.stop();
  await folder.remove();
});

async function launch(role: 'server run' | 'up'): Promise<TlsIdentity> {
  server = await launchServer(folder.path, { role, config: CONFIG });
  const agent = await joinServer(server);
  client = server.dial(agent);
  const made = await server.ask(
    'entry',
    'create',
    '--parent-id',
    agent.id.toString(),
    '--spiffe-id',
    'spiffe://example.org/web',
    '--selector',
    'unix:uid:0',
  );
  entryId = String(made.id);
  return agent;
}

/** A call for so many SVIDs, each of which takes a second after the first. */
function sign(count: number): Promise<unknown> {
  const csr = csrWithoutId(generateP256KeyPair());
  const params = Array.from({ length: count }, () => ({ entry_id: entryId, csr }));
  return client.call('SVID.BatchNewX509SVID', { params });
}

async function waitsForItsTurn(): Promise<void> {
  await eventually('a call waits', async () => {
    const text = await (await fetch(`${health()}/metrics`)).text();
    return text.includes('trustplane_api_rate_limit_waiting_calls{limit="signing"} 1');
  });
}

function health(): string {
  const ports = listeningPorts(server.pid).filter((port) => !port.endsWith(`:${server.port}`));
  return `http://${ports[0]?.replace('tcp ', '')}`;
}

describe.each(['server run', 'up'] as const)('SIGTERM to %s', (role) => {
  it('is not ready first, ends streams, lets a call finish, and takes no more', async () => {
    await launch(role);
    const address = health();
    expect((await fetch(`${address}/ready`)).status).toBe(200);
    const stream = server.dial().stream('Agent.AttestAgent');
    const streamEnd = stream.read().catch((error: unknown) => error);
    const signed = await sign(1);
    expect(signed).toMatchObject({ results: [{ status: { code: 0 } }] });
    const inFlight = sign(1);
    await waitsForItsTurn();
    server.kill('SIGTERM');
    await eventually('it says that it is stopping', async () => {
      const answer = await fetch(`${address}/ready`);
      return answer.status === 503 && (await answer.text()).includes('it is stopping');
    });
    expect((await fetch(`${address}/live`)).status).toBe(200);
    expect(await streamEnd).toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('shutting down'),
    });
    await expect(server.dial().call('Bundle.GetBundle')).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
    expect(await inFlight).toMatchObject({ results: [{ status: { code: 0 } }] });
    expect(await server.ended).toBe(0);
  });

  it('repeated after a second ends it at once', async () => {
    await launch(role);
    await sign(5);
    const inFlight = sign(1).catch((error: unknown) => error);
    await waitsForItsTurn();
    const { kill, ended } = server;
    kill('SIGTERM');
    const again = setInterval(() => kill('SIGTERM'), 50);
    const how = await ended.finally(() => clearInterval(again));
    expect(how).toBe(128 + 15);
    expect(await inFlight).toMatchObject({ code: status.UNAVAILABLE });
  });
});

describe('agent run', () => {
  it('takes up a new configuration, is not serving from SIGTERM on, and ends its streams', async () => {
    server = await launchServer(folder.path, { config: CONFIG });
    client = server.dial();
    const at = (name: string): string => path.join(folder.path, name);
    const bundle = await runTrustplane('bundle', 'show', '--admin-socket', server.adminSocket);
    writeFileSync(at('bundle.pem'), bundle.stdout);
    const config = at('agent.yaml');
    writeFileSync(config, 'log: { level: info }\nagent: { servers: ["${SERVER}"] }\n');
    const socket = at('agent.sock');
    const args = [
      ['agent', 'run', '--config', config, '--bundle-file', at('bundle.pem'), '--socket', socket],
      ['--join-token', await server.makeToken(), '--data-dir', at('agent'), '--output', 'json'],
      ['--cache-key-file', at('cache.key')],
    ].flat();
    const env = { ...process.env, SERVER: `127.0.0.1:${server.port}` };
    const agent = spawnTied(process.execPath, [program, ...args], { env });
    const log = logOf(agent);
    await log.line('{"ready":true');

    writeFileSync(
      config,
      'log: { level: debug }\nagent: { servers: ["${SERVER}"], sds: { defaultSvidName: x } }\n',
    );
    agent.kill('SIGHUP');
    expect(JSON.parse(await log.line('the configuration was reloaded'))).toMatchObject({
      changed: ['log.level'],
      kept: ['agent.sds.defaultSvidName'],
    });
    const level = ['log-level', 'set', 'error', '--agent', '--socket', socket, '--output', 'json'];
    expect(JSON.parse((await runTrustplane(...level)).stdout)).toEqual({
      current: 'error',
      configured: 'debug',
    });
    const names = ['', 'SpiffeWorkloadAPI', 'envoy.service.secret.v3.SecretDiscoveryService'];
    const watches = names.map((name) => watchHealth(socket, name));
    await eventually('each is serving', () => watches.every(({ statuses }) => statuses.length > 0));
    agent.kill('SIGTERM');
    expect(await agent.ended).toBe(0);
    for (const { statuses, ended, close } of watches) {
      expect(await ended).toContain('shutting down');
      expect(statuses).toEqual(['SERVING', 'NOT_SERVING']);
      close();
    }
  });
});
