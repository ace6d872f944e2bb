import path from 'node:path';
import { Client, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildCsr, generateP256KeyPair, parseX509Svid } from '../../src/spiffe/index.ts';
import { dialTls, dialUnix, loadService } from '../../src/wire/index.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import { spawnTied, type TiedChild } from '../programs/tied-child.ts';

const program = path.join(import.meta.dirname, '..', '..', 'bin', 'trustplane.js');
const NODE = 'spiffe://example.org/node/1';

let folder: RunFolder;
let server: TiedChild;
let adminSocket: string;
let port: number;

/** Any free port; starting again in the same folder finds the same data. */
async function start(): Promise<void> {
  const places = ['--data-dir', path.join(folder.path, 'data'), '--admin-socket', adminSocket];
  const bind = ['--bind-address', '127.0.0.1:0', '--output', 'json'];
  const child = spawnTied(process.execPath, [program, 'server', 'run', ...places, ...bind]);
  const ready = new Promise<string>((resolve) => {
    child.onLine((line) => {
      if (line.startsWith('{"ready":true')) resolve(line);
    });
  });
  const line = await Promise.race([ready, child.ended]);
  if (typeof line !== 'string' || !line.startsWith('{')) throw new Error(child.lines.join('\n'));
  const { address } = JSON.parse(line);
  port = Number(String(address).split(':').at(-1));
  server = child;
}

/** Runs a command with `--output json`. */
async function ask(...args: readonly string[]) {
  const more = ['--admin-socket', adminSocket, '--output', 'json'];
  const { code, stdout, stderr } = await runTrustplane(...args, ...more);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

/** Joins as an agent that trusts whatever it meets; returns the ID it was given. */
async function attest(token: string): Promise<string> {
  const { target, credentials, options } = dialTls({
    host: '127.0.0.1',
    port,
    trust: { onUnverified: (chain) => expect(idOf(chain)).toBe(serverId) },
  });
  const client = new Client(target, credentials, options);
  const file = 'spire/api/server/agent/v1/agent.proto';
  const method = loadService(file, 'spire.api.server.agent.v1.Agent')['AttestAgent'];
  if (method === undefined) throw new Error('no method AttestAgent');
  const call = client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    (bytes): { result: { svid: { cert_chain: Uint8Array[] } } } =>
      method.responseDeserialize(bytes),
  );
  const data = { type: 'join_token', payload: Buffer.from(token) };
  call.write({ params: { data, params: { csr: buildCsr(generateP256KeyPair()) } } });
  try {
    for await (const { result } of call) return idOf(result.svid.cert_chain);
    throw new Error('no result');
  } finally {
    client.close();
  }
}

const serverId = 'spiffe://example.org/spire/server';
const idOf = (chain: readonly Uint8Array[]): string => parseX509Svid(chain).spiffeId.toString();

beforeAll(async () => {
  folder = createRunFolder();
  adminSocket = path.join(folder.path, 'admin.sock');
  await start();
});

afterAll(async () => {
  await server.stop();
  await folder.remove();
});

it('attests an agent with a token from the command line, once, and keeps it over a restart', async () => {
  const { token, spiffeId } = await ask('token', 'generate', '--ttl', '1m', '--spiffe-id', NODE);
  expect(spiffeId).toBe(NODE);
  const id = await attest(token);
  expect(id).toBe(`spiffe://example.org/spire/agent/join_token/${token}`);
  await expect(attest(token)).rejects.toMatchObject({ details: expect.stringContaining('spent') });
  expect(await server.stop()).toBe(0);
  await start();
  await expect(attest(token)).rejects.toMatchObject({ details: expect.stringContaining('spent') });
  const agent = { id, attestationType: 'join_token', banned: false, canReattest: false };
  expect(await ask('agent', 'list')).toMatchObject({ agents: [agent] });
  const serialNumber = expect.stringMatching(/^01[0-9a-f]{30}$/u);
  expect(await ask('agent', 'show', id)).toMatchObject({ ...agent, serialNumber });
  expect(await ask('agent', 'count', '--no-banned')).toEqual({ count: 1 });
  expect(await ask('agent', 'purge', '--dry-run')).toEqual({ purged: [], dryRun: true });
  expect(await ask('entry', 'show', '--spiffe-id', NODE)).toMatchObject({
    entries: [{ parentId: id, selectors: [`spiffe_id:${id}`] }],
  });
  await ask('agent', 'ban', id);
  expect(await ask('agent', 'list', '--banned')).toMatchObject({ agents: [{ id, banned: true }] });
  await ask('agent', 'evict', id);
  expect(await ask('agent', 'count')).toEqual({ count: 0 });
  await expect(ask('agent', 'show', id)).rejects.toThrow('ERR_AGENT_NOT_FOUND');
});

it('refuses an entry that no agent would ever serve', async () => {
  const web = ['--spiffe-id', 'spiffe://example.org/web', '--selector', 'unix:uid:0'];
  await expect(ask('entry', 'create', ...web)).rejects.toThrow(/ERR_USAGE.*say with --parent-id/u);
});

it('says what it is doing', async () => {
  expect(await ask('status')).toMatchObject({ healthy: true, trustDomain: 'example.org' });
});

it('says more of itself to whoever administers its machine, and to nobody else', async () => {
  const info = loadService(
    'spire/api/server/debug/v1/debug.proto',
    'spire.api.server.debug.v1.Debug',
  )['GetInfo'];
  if (info === undefined) throw new Error('no method GetInfo');
  const ask = ({ target, credentials, options }: ReturnType<typeof dialUnix>): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const client = new Client(target, credentials, options);
      client.makeUnaryRequest(
        info.path,
        info.requestSerialize,
        info.responseDeserialize,
        {},
        (error, response: unknown) => {
          client.close();
          if (error === null) resolve(response);
          else reject(error);
        },
      );
    });
  expect(await ask(dialUnix(adminSocket))).toMatchObject({
    svid_chain: [{ id: { trust_domain: 'example.org', path: '/spire/server' } }],
    federated_bundles_count: 0,
  });
  const remote = dialTls({ host: '127.0.0.1', port, trust: { onUnverified: () => {} } });
  await expect(ask(remote)).rejects.toMatchObject({ code: status.UNIMPLEMENTED });
});
