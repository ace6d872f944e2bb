import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { Client } from '@grpc/grpc-js';
import { CHECK } from '../../src/app/check-methods.ts';
import { type WrittenCheck, writeCheckRequest } from '../../src/check/write-check-request.ts';
import { dialUnix } from '../../src/wire/index.ts';
import { callBytes } from '../fakes/authz-ground.ts';
import { type LaunchedAuthz, launchAuthz } from '../programs/launch-authz.ts';
import { launchTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { type CheckOracle, createCheckOracle } from './check-oracle.ts';
import { fuzzPolicies } from './fuzz-world.ts';

const API = 'spiffe://example.org/api';
const callers = {
  web: 'spiffe://example.org/web',
  batch: 'spiffe://example.org/batch',
  gone: 'spiffe://example.org/gone',
};
const PORT = 49_152;

/** A `trustplane authz run` that believes names, and what may be asked of it. */
export interface HostileGround extends AsyncDisposable {
  readonly authz: LaunchedAuthz;
  readonly samples: readonly Buffer[];
  readonly oracle: CheckOracle;
  /** The bytes of a client that asks well. */
  readonly conversation: Buffer;
  /** The first is allowed, the second denied. */
  readonly clientRequests: readonly [Buffer, Buffer];
}

export async function launchHostileGround(): Promise<HostileGround> {
  await using stack = new AsyncDisposableStack();
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const policies = path.join(folder.path, 'policies');
  mkdirSync(policies);
  const documents = fuzzPolicies(API, callers, PORT);
  for (const document of documents) {
    const policy = { apiVersion: 'trustplane/v1', kind: 'Policy', ...document };
    writeFileSync(path.join(policies, `${document.metadata.name}.yaml`), JSON.stringify(policy));
  }
  const trustplane = await launchTrustplane(folder.path);
  stack.defer(async () => void (await trustplane.stop()));
  const authz = launchAuthz(folder.path, {
    agentSocket: trustplane.socket,
    authz: { policies, requirePeerCertificate: false },
  });
  stack.defer(async () => void (await authz.stop()));
  await authz.ready;
  const oracle = await createCheckOracle({
    policies: documents,
    callers: new Set(Object.values(callers)),
    needsCertificate: false,
  });
  const clientRequests = [checkOf({}), checkOf({ target: '/v1/items/secret/a' })] as const;
  const conversation = await recordClient(path.join(folder.path, 'recorded'), clientRequests[0]);
  const open = stack.move();
  return {
    authz,
    samples: writtenSamples(),
    oracle,
    conversation,
    clientRequests,
    [Symbol.asyncDispose]: async () => await open.disposeAsync(),
  };
}

function checkOf(more: Partial<WrittenCheck>): Buffer {
  return writeCheckRequest({
    source: { ip: '10.0.0.1', principal: callers.web },
    destination: API,
    method: 'GET',
    target: '/v1/items/a',
    host: 'api.example',
    headers: { accept: '*/*' },
    hasRawHeaders: true,
    ...more,
  });
}

function writtenSamples(): readonly Buffer[] {
  const batch = { ip: '10.0.0.1', principal: callers.batch };
  return [true, false].flatMap((hasRawHeaders) =>
    [
      {},
      { target: '/v1/items/secret/a' },
      { headers: { 'x-evil': 'yes' } },
      { method: 'POST', target: '/v1/charges', headers: { 'x-ticket': 'INC-1' } },
      {
        source: batch,
        method: 'POST',
        target: '/a.B/Get',
        headers: { 'content-type': 'application/grpc' },
      },
      { target: '/claims', claims: { iss: 'https://sso.example', sub: 'ann' } },
    ].map((more) => checkOf({ ...more, hasRawHeaders })),
  );
}

/** A client with a connection of its own. */
export function dialAuthz(socketPath: string): Client {
  const { target, credentials, options } = dialUnix(socketPath);
  return new Client(target, credentials, { ...options, 'grpc.use_local_subchannel_pool': 1 });
}

/** What a client writes that asks somebody who answers nothing but settings. */
async function recordClient(socketPath: string, request: Buffer): Promise<Buffer> {
  const server: Server = createServer();
  server.listen(socketPath);
  await once(server, 'listening');
  const client = dialAuthz(socketPath);
  const call = callBytes(client, CHECK, request).catch(() => {});
  const [socket] = await once(server, 'connection');
  const chunks: Buffer[] = [];
  socket.on('error', () => {});
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  while (!Buffer.concat(chunks).includes(request)) {
    const [chunk] = await once(socket, 'data');
    chunks.push(chunk);
  }
  client.close();
  socket.destroy();
  server.close();
  await call;
  return Buffer.concat(chunks);
}
