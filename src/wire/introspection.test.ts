import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type ClientDuplexStream, type ServiceDefinition, status } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import descriptor from 'protobufjs/ext/descriptor/index.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMetrics, silentLog } from '../ops/index.ts';
import {
  createHealth,
  createReflection,
  dialUnix,
  type Health,
  loadService,
  serveUnix,
  type UnixServer,
} from './index.ts';

const SDS = 'envoy/service/secret/v3/sds.proto';
const HEALTH = 'grpc/health/v1/health.proto';
const WORKLOAD_API = 'workload.proto';

let folder: string;
let server: UnixServer;
let client: Client;
let health: Health;
const reflection = createReflection([SDS, WORKLOAD_API, HEALTH]);

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'introspection-'));
  health = createHealth(['SpiffeWorkloadAPI']);
  server = await serveUnix({
    path: join(folder, 'agent.sock'),
    mode: 0o600,
    services: [health.service, ...reflection],
    log: silentLog,
    metrics: createMetrics(),
  });
  const { target, credentials, options } = dialUnix(server.path);
  client = new Client(target, credentials, options);
});

afterEach(async () => {
  client.close();
  await server.close(0);
  rmSync(folder, { recursive: true });
});

describe('health', () => {
  const { Check, Watch } = loadService(HEALTH, 'grpc.health.v1.Health');
  if (Check === undefined || Watch === undefined) throw new Error('no such methods');

  const check = (service: string): Promise<unknown> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        Check.path,
        Check.requestSerialize,
        Check.responseDeserialize,
        { service },
        (error, response) => (error === null ? resolve(response) : reject(error)),
      );
    });

  it('is NOT_SERVING until it is set, for each service and the whole (WLEP-8)', async () => {
    expect(await check('')).toEqual({ status: 'NOT_SERVING' });
    health.setStatus('SpiffeWorkloadAPI', 'SERVING');
    expect(await check('SpiffeWorkloadAPI')).toEqual({ status: 'SERVING' });
    expect(await check('')).toEqual({ status: 'NOT_SERVING' });
    await expect(check('unknown')).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it('tells a watcher the present status and each change', async () => {
    const watch = client.makeServerStreamRequest(
      Watch.path,
      Watch.requestSerialize,
      Watch.responseDeserialize,
      { service: '' },
    );
    watch.on('error', () => {});
    expect(await once(watch, 'data')).toEqual([{ status: 'NOT_SERVING' }]);
    health.setStatus('SpiffeWorkloadAPI', 'SERVING');
    health.setStatus('', 'SERVING');
    expect(await once(watch, 'data')).toEqual([{ status: 'SERVING' }]);
    watch.cancel();
  });
});

interface Answer {
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] };
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Uint8Array[] };
  readonly error_response?: { readonly error_code: number };
}

function methodOf(definition: ServiceDefinition | undefined): ServiceDefinition[string] {
  const method = definition?.['ServerReflectionInfo'];
  if (method === undefined) throw new Error('no such method');
  return method;
}

describe.each([
  ['v1', methodOf(reflection[0]?.definition)],
  ['v1alpha', methodOf(reflection[1]?.definition)],
])('reflection %s', (version, method) => {
  let stream: ClientDuplexStream<object, Answer>;

  beforeEach(() => {
    stream = client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
    );
    stream.on('error', () => {});
  });

  async function ask(request: object): Promise<Answer> {
    stream.write(request);
    const [answer]: Answer[] = await once(stream, 'data');
    return answer ?? {};
  }

  async function rootOf(request: object): Promise<protobuf.Root> {
    const answer = await ask(request);
    const files = answer.file_descriptor_response?.file_descriptor_proto ?? [];
    const file = files.map((bytes) => descriptor.FileDescriptorProto.decode(bytes));
    const set = descriptor.FileDescriptorSet.create({ file });
    const root: unknown = Reflect.apply(Reflect.get(protobuf.Root, 'fromDescriptor'), null, [set]);
    if (!(root instanceof protobuf.Root)) throw new Error('no root');
    root.resolveAll();
    return root;
  }

  it('lists the services, those without a package too (WLEP-8)', async () => {
    expect(method.path).toBe(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`);
    const answer = await ask({ list_services: '*' });
    expect(answer.list_services_response?.service.map(({ name }) => name)).toEqual([
      'envoy.service.secret.v3.SecretDiscoveryService',
      'SpiffeWorkloadAPI',
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
    ]);
  });

  it('describes a service with everything its messages need', async () => {
    const root = await rootOf({ file_containing_symbol: 'SpiffeWorkloadAPI' });
    const response = root.lookupType('X509SVIDResponse');
    expect(response.fields['svids']?.resolvedType?.fullName).toBe('.X509SVID');
    expect(response.fields['svids']?.repeated).toBe(true);
    const discovery = await rootOf({
      file_containing_symbol: 'envoy.service.secret.v3.SecretDiscoveryService.StreamSecrets',
    });
    const request = discovery.lookupType('envoy.service.discovery.v3.DiscoveryRequest');
    expect(request.fields['node']?.resolvedType?.fullName).toBe('.envoy.config.core.v3.Node');
    expect(discovery.lookupType('google.protobuf.Any').fields['value']?.type).toBe('bytes');
  });

  it('finds files by name, and says when there is none', async () => {
    const root = await rootOf({ file_by_filename: HEALTH });
    expect(
      root.lookupEnum('grpc.health.v1.HealthCheckResponse.ServingStatus').values,
    ).toMatchObject({
      SERVING: 1,
      NOT_SERVING: 2,
    });
    for (const request of [
      { file_by_filename: '../../etc/passwd' },
      { file_containing_symbol: 'no.Such' },
      { file_containing_extension: { containing_type: 'a', extension_number: 1 } },
      { all_extension_numbers_of_type: 'a' },
      {},
    ]) {
      expect((await ask(request)).error_response?.error_code).toBe(status.NOT_FOUND);
    }
  });

  it('ends when the client does', async () => {
    await ask({ list_services: '' });
    stream.end();
    stream.resume();
    expect(await once(stream, 'end')).toEqual([]);
  });
});
