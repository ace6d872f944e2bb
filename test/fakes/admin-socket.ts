import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type ServiceError } from '@grpc/grpc-js';
import { onTestFinished } from 'vitest';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import { dialUnix, type GrpcService, serveUnix } from '../../src/wire/index.ts';

/** Calls a unary method by name; rejects with grpc-js's error. */
export type Call = (method: string, request?: object) => Promise<unknown>;

/** Serves `service` on a real Unix socket until the test ends; returns the way to call it. */
export async function serveForTest(service: GrpcService): Promise<Call> {
  const folder = await mkdtemp(join(tmpdir(), 'trustplane-api-'));
  const path = join(folder, 'admin.sock');
  const server = await serveUnix({
    path,
    mode: 0o600,
    services: [service],
    log: silentLog,
    metrics: createMetrics(),
  });
  const dial = dialUnix(path);
  const client = new Client(dial.target, dial.credentials, dial.options);
  onTestFinished(async () => {
    client.close();
    await server.close(0);
    await rm(folder, { recursive: true });
  });
  return (method, request = {}) =>
    new Promise((resolve, reject) => {
      const definition = service.definition[method];
      if (definition === undefined) throw new Error(`no method ${method}`);
      client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        (error: ServiceError | null, response: unknown) =>
          error === null ? resolve(response) : reject(error),
      );
    });
}
