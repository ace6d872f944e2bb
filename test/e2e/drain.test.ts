import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateP256KeyPair } from '../../src/spiffe/index.ts';
import type { TlsIdentity } from '../../src/wire/index.ts';
import { csrWithoutId, type FleetClient } from '../fakes/open-fleet.ts';
import { eventually } from '../programs/eventually.ts';
import { joinServer, type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { listeningPorts } from '../programs/listening-ports.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

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
