import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Client } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { dialUnix, loadService } from '../../src/wire/index.ts';
import {
  launchTrustplane,
  type RunningTrustplane,
  runTrustplane,
} from '../programs/launch-trustplane.ts';
import { listeningPorts } from '../programs/listening-ports.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

let folder: RunFolder;
let running: RunningTrustplane | undefined;

beforeEach(() => {
  folder = createRunFolder();
});

afterEach(async () => {
  await running?.stop();
  running = undefined;
  await folder.remove();
});

function modeOf(file: string): string {
  const { mode } = statSync(file);
  return (mode & 0o7777).toString(8);
}

function configFile(text: string): string {
  const file = path.join(folder.path, 'trustplane.yaml');
  writeFileSync(file, text);
  return file;
}

describe('trustplane up', () => {
  it('speaks gRPC on Unix sockets of this host and listens on no port (WLEP-1, WLEP-4)', async () => {
    running = await launchTrustplane(folder.path);
    await running.createEntry('spiffe://example.org/web');
    const fetched = await runTrustplane('api', 'fetch', 'x509', '--socket', running.socket);
    expect(fetched.code).toBe(0);
    expect(listeningPorts(running.pid)).toEqual([]);
    for (const file of [running.socket, running.adminSocket])
      expect(statSync(file).isSocket()).toBe(true);
    expect([modeOf(running.socket), modeOf(running.adminSocket)]).toEqual(['777', '600']);
  });

  it('serves metrics on a loopback port when told to, and nothing else there', async () => {
    const config = configFile("metrics: { address: '127.0.0.1:0' }\n");
    running = await launchTrustplane(folder.path, '--config', config);
    const ports = listeningPorts(running.pid);
    expect(ports).toEqual([expect.stringMatching(/^tcp 127\.0\.0\.1:\d+$/u)]);
    const address = ports[0]?.replace('tcp ', 'http://') ?? '';
    const answer = await fetch(`${address}/metrics`);
    expect(await answer.text()).toContain('\ntrustplane_');
    const service = await fetch(`${address}/SpiffeWorkloadAPI/FetchX509SVID`, { method: 'POST' });
    expect(service.status).toBe(404);
  });

  it.each(['0.0.0.0:9988', '[::]:9988', '192.0.2.1:9988', 'localhost:9988', ':9988'])(
    'refuses to serve metrics at %s',
    async (address) => {
      const config = configFile(`metrics: { address: '${address}' }\n`);
      const refused = await runTrustplane('config', 'check', config);
      expect(refused).toMatchObject({ code: 2 });
      expect(refused.stderr).toContain('loopback');
    },
  );

  it('lists its services on the agent socket, SDS beside the Workload API (WLEP-8)', async () => {
    running = await launchTrustplane(folder.path);
    const { target, credentials, options } = dialUnix(running.socket);
    const client = new Client(target, credentials, options);
    const method = loadService(
      'grpc/reflection/v1/reflection.proto',
      'grpc.reflection.v1.ServerReflection',
    )['ServerReflectionInfo'];
    if (method === undefined) throw new Error('no method');
    const { path: name, requestSerialize, responseDeserialize } = method;
    const call = client.makeBidiStreamRequest(name, requestSerialize, responseDeserialize);
    call.end({ list_services: '' });
    const [answer] = await once(call, 'data');
    expect(answer).toMatchObject({
      list_services_response: {
        service: expect.arrayContaining([
          { name: 'SpiffeWorkloadAPI' },
          { name: 'envoy.service.discovery.v3.AggregatedDiscoveryService' },
          { name: 'envoy.service.extension.v3.ExtensionConfigDiscoveryService' },
          { name: 'envoy.service.secret.v3.SecretDiscoveryService' },
          { name: 'grpc.health.v1.Health' },
        ]),
      },
    });
    client.close();
  });

  it('tells its administrators on the agent socket how it is', async () => {
    running = await launchTrustplane(folder.path);
    await running.createEntry('spiffe://example.org/web');
    await runTrustplane('api', 'fetch', 'x509', '--socket', running.socket);
    const { target, credentials, options } = dialUnix(running.socket);
    const client = new Client(target, credentials, options);
    const method = loadService('spire/agent/debug/v1/debug.proto', 'spire.agent.debug.v1.Debug')[
      'GetInfo'
    ];
    if (method === undefined) throw new Error('no method');
    const { path: name, requestSerialize, responseDeserialize } = method;
    const info = await new Promise((resolve, reject) => {
      client.makeUnaryRequest(name, requestSerialize, responseDeserialize, {}, (error, answer) =>
        error === null ? resolve(answer) : reject(error),
      );
    });
    expect(info).toMatchObject({ svid_chain: [], svids_count: 1, cached_x509_svids_count: 1 });
    client.close();
  });
});
