import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Client, Metadata, type ServiceDefinition, type StatusObject, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWorkloadApiClient } from '../../src/client/index.ts';
import { systemClock } from '../../src/ops/index.ts';
import { SECRET_TYPE_URL } from '../../src/sds/secret-messages.ts';
import { dialUnix, loadService } from '../../src/wire/index.ts';
import { SdsClient } from '../fakes/sds-client.ts';
import { launchTrustplane, type RunningTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

let folder: RunFolder;
let trustplane: RunningTrustplane;

beforeAll(async () => {
  folder = createRunFolder();
  trustplane = await launchTrustplane(folder.path);
  await trustplane.createEntry('spiffe://example.org/web');
});

afterAll(async () => {
  await trustplane.stop();
  await folder.remove();
});

const services = {
  agent: [
    ['workload.proto', 'SpiffeWorkloadAPI'],
    ['envoy/service/secret/v3/sds.proto', 'envoy.service.secret.v3.SecretDiscoveryService'],
    ['trustplane/explain/v1/explain.proto', 'trustplane.explain.v1.AgentExplain'],
    ['trustplane/agent/v1/agent.proto', 'trustplane.agent.v1.Agent'],
    ['grpc/health/v1/health.proto', 'grpc.health.v1.Health'],
    ['grpc/reflection/v1/reflection.proto', 'grpc.reflection.v1.ServerReflection'],
  ],
  admin: [
    ['spire/api/server/entry/v1/entry.proto', 'spire.api.server.entry.v1.Entry'],
    ['spire/api/server/bundle/v1/bundle.proto', 'spire.api.server.bundle.v1.Bundle'],
    ['trustplane/admin/v1/admin.proto', 'trustplane.admin.v1.Admin'],
    ['trustplane/admin/v1/apply.proto', 'trustplane.admin.v1.Apply'],
    ['trustplane/admin/v1/backup.proto', 'trustplane.admin.v1.Backup'],
    ['trustplane/admin/v1/crls.proto', 'trustplane.admin.v1.Crls'],
    ['trustplane/admin/v1/federation.proto', 'trustplane.admin.v1.Federation'],
    ['trustplane/admin/v1/revocations.proto', 'trustplane.admin.v1.Revocations'],
    ['trustplane/admin/v1/servers.proto', 'trustplane.admin.v1.Servers'],
    ['trustplane/audit/v1/audit.proto', 'trustplane.audit.v1.Audit'],
    ['trustplane/explain/v1/explain.proto', 'trustplane.explain.v1.Explain'],
    ['grpc/health/v1/health.proto', 'grpc.health.v1.Health'],
    ['grpc/reflection/v1/reflection.proto', 'grpc.reflection.v1.ServerReflection'],
  ],
} as const;

function pathsOf(socket: keyof typeof services): string[] {
  return services[socket].flatMap(([file, name]) => {
    const definition: ServiceDefinition = loadService(file, name);
    return Object.values(definition).map((method) => method.path);
  });
}

/** Sends bytes as the one request of any kind of method; how the call ended. */
async function sendBytes(socket: string, method: string, request: Buffer): Promise<StatusObject> {
  const { target, credentials, options } = dialUnix(socket);
  const client = new Client(target, credentials, options);
  const pass = (bytes: Buffer): Buffer => bytes;
  const metadata = new Metadata();
  metadata.set('workload.spiffe.io', 'true');
  const deadline = Date.now() + 30_000;
  const call = client.makeBidiStreamRequest(method, pass, pass, metadata, { deadline });
  call.on('error', () => {});
  call.resume();
  const ended = new Promise<StatusObject>((resolve) => call.once('status', resolve));
  call.end(request);
  return await ended.finally(() => client.close());
}

const wellAndQuiet = { svids: 1, defects: [] };

/** What another client gets, and what trustplane has logged as a defect. */
async function lookAround(): Promise<{ svids: number; defects: string[] }> {
  const address = { kind: 'unix', path: trustplane.socket } as const;
  const client = createWorkloadApiClient({ address, clock: systemClock, random: Math.random });
  const { svids } = await client.fetchX509(30_000);
  client.close();
  const defects = trustplane.lines.filter((line) => /"level":"(error|fatal)"/u.test(line));
  return { svids: svids.length, defects };
}

/** A length-delimited field that is longer than the message. */
const truncated = Buffer.from([0x0a, 0xff, 0xff, 0xff, 0x0f, 0x00]);
/** Wire type 7, which does not exist. */
const nonsense = Buffer.from([0xff, 0x01, 0x00]);

describe.each(['agent', 'admin'] as const)('the %s socket', (name) => {
  const socket = (): string => (name === 'agent' ? trustplane.socket : trustplane.adminSocket);

  it.each(pathsOf(name))('refuses a malformed message to %s', async (method) => {
    for (const request of [truncated, nonsense]) {
      const { code, details } = await sendBytes(socket(), method, request);
      // INTERNAL is what gRPC itself says of a request that cannot be parsed.
      const outcome = [status[code], details].join(': ');
      expect(outcome).toMatch(
        /^(INVALID_ARGUMENT: the request is (not a |malformed: ).+|INTERNAL: Error deserializing request|UNIMPLEMENTED: .+|PERMISSION_DENIED: .+ only an attested agent may call this)$/u,
      );
    }
    expect(await lookAround()).toEqual(wellAndQuiet);
  });

  it('answers UNIMPLEMENTED to a method that does not exist', async () => {
    const { code } = await sendBytes(socket(), '/nobody.v1.Service/Method', Buffer.alloc(0));
    expect(status[code]).toBe('UNIMPLEMENTED');
  });

  it.each([
    ['HTTP/1.1', 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'],
    ['TLS', Buffer.from('160301020001000000fc03034a4b', 'hex')],
    ['garbage', Buffer.alloc(70_000, 0xa5)],
    ['a preface and garbage', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'x'.repeat(500)}`],
    [
      'a frame of 16 MiB',
      Buffer.concat([preface(), Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1])]),
    ],
  ])('closes a connection that speaks %s', async (_what, bytes) => {
    const connection = await open(socket());
    const closed = once(connection, 'close');
    connection.write(bytes);
    connection.resume();
    await closed;
    expect(await lookAround()).toEqual(wellAndQuiet);
  });

  it('forgets connections that are cut at any point', async () => {
    const whole = Buffer.concat([preface(), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]);
    for (let length = 0; length <= whole.length; length++) {
      const connection = await open(socket());
      connection.write(whole.subarray(0, length), () => connection.destroy());
      await once(connection, 'close');
    }
    expect(await lookAround()).toEqual(wellAndQuiet);
  });

  it('ends a connection whose peer has ended its half', async () => {
    const connection = await open(socket());
    const closed = once(connection, 'close');
    connection.resume();
    connection.end(preface());
    await closed;
    expect(await lookAround()).toEqual(wellAndQuiet);
  });
});

describe('a type_url that is no secret (SDS-2)', () => {
  const request = { type_url: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' };
  const refusal = {
    code: status.INVALID_ARGUMENT,
    details: expect.stringContaining(SECRET_TYPE_URL),
  };

  it('ends the stream or call with INVALID_ARGUMENT, and names the one that is served', async () => {
    const client = new SdsClient(trustplane.socket);
    for (const stream of [client.sotw(), client.delta()]) {
      stream.send(request);
      expect(await stream.ended).toMatchObject(refusal);
    }
    await expect(client.fetch(request)).rejects.toMatchObject(refusal);
    client.close();
    expect(await lookAround()).toEqual(wellAndQuiet);
  });
});

function preface(): Buffer {
  return Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
}

async function open(socket: string): Promise<Socket> {
  const connection = connect(socket);
  // A reset is as good an end as any.
  connection.on('error', () => {});
  await once(connection, 'connect');
  return connection;
}
