import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createWorkloadApiClient, type X509Context } from '../../src/client/index.ts';
import { systemClock } from '../../src/ops/index.ts';
import { policyText } from '../fakes/open-policies.ts';
import { eventually } from '../programs/eventually.ts';
import { type LaunchedAgent, startAgent, writeBundle } from '../programs/launch-agent.ts';
import { launchNatsServer } from '../programs/launch-nats-server.ts';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const UID = `unix:uid:${process.getuid?.() ?? 0}`;
const NODE = 'spiffe://example.org/node';

interface AuthorityView {
  readonly slot: string;
  readonly authorityId: string;
}

interface ServerView {
  readonly state: string;
  readonly address: string;
}

/** Two servers of one control plane on a nats-server of their own; all end with the test. */
async function place() {
  const folder = createRunFolder();
  onTestFinished(() => folder.remove());
  const nats = await launchNatsServer({ jetStream: true });
  onTestFinished(async () => await nats[Symbol.asyncDispose]());
  const store = `{ type: jetstream, servers: ['${nats.url}'], replicas: 1, isTest: true }`;
  const at = (name: string): string => path.join(folder.path, name);
  const launch = async (name: string, port = 0): Promise<LaunchedServer> => {
    mkdirSync(at(name), { recursive: true });
    const server = await launchServer(at(name), { config: `server: { store: ${store} }`, port });
    onTestFinished(async () => void (await server.stop()));
    return server;
  };
  const [a, b] = [await launch('a'), await launch('b')];
  return { at, launch, a, b };
}

/** An agent that knows both servers, and what a workload of it has. */
async function joinedAgent(folder: string, servers: readonly LaunchedServer[], token: string) {
  const [first] = servers;
  if (first === undefined) throw new Error('no server');
  mkdirSync(folder);
  const agent = startAgent(folder, {
    servers: servers.map(({ port }) => `127.0.0.1:${port}`),
    flags: ['--bundle-file', await writeBundle(folder, first), '--join-token', token],
  });
  onTestFinished(async () => void (await agent.stop()));
  await agent.id;
  const client = createWorkloadApiClient({
    address: { kind: 'unix', path: agent.socket },
    clock: systemClock,
    random: Math.random,
  });
  const over = new AbortController();
  let latest: X509Context | undefined;
  const reading = (async () => {
    for await (const event of client.watchX509(over.signal)) {
      // Each is verified with the bundle that it came with.
      if (event.type === 'update') latest = event.context;
      if (event.type === 'rejected') throw event.error;
    }
  })();
  onTestFinished(async () => {
    over.abort();
    await reading;
    client.close();
  });
  const has = (name: string): boolean =>
    latest?.svids.some(({ svid }) => svid.spiffeId.path === `/${name}`) === true;
  /** IDs of the authorities that what it has now is signed with. */
  const signers = (): readonly string[] =>
    latest?.svids.map(({ svid }) => Buffer.from(svid.leaf.authorityKeyId ?? []).toString('hex')) ??
    [];
  return { agent, has, signers };
}

async function tokenOf(server: LaunchedServer): Promise<string> {
  const { token } = await server.ask('token', 'generate', '--spiffe-id', NODE);
  return token;
}

async function createEntry(server: LaunchedServer, name: string): Promise<number> {
  const id = ['--spiffe-id', `spiffe://example.org/${name}`, '--parent-id', NODE];
  await server.ask('entry', 'create', ...id, '--selector', UID);
  return performance.now();
}

/** The server that the agent uses, and the other one. */
async function inUse(agent: LaunchedAgent, [a, b]: readonly [LaunchedServer, LaunchedServer]) {
  const asked = ['status', '--agent', '--socket', agent.socket, '--output', 'json'];
  const { stdout } = await runTrustplane(...asked);
  const { server: address } = JSON.parse(stdout);
  return address === `127.0.0.1:${a.port}` ? { used: a, other: b } : { used: b, other: a };
}

async function authorityIn(server: LaunchedServer, slot: string): Promise<string> {
  const { authorities } = await server.ask('authority', 'x509', 'show');
  const found = authorities.find((each: AuthorityView) => each.slot === slot);
  if (found === undefined) throw new Error(`none is ${slot}`);
  return found.authorityId;
}

async function statesAt(server: LaunchedServer): Promise<readonly string[]> {
  const { servers } = await server.ask('server', 'list');
  return servers.map(({ state }: ServerView) => state);
}

it('agents go on with another server when theirs is killed, and every server acts for all', async () => {
  const { at, launch, a, b } = await place();
  await eventually('the first server has heard where both are', async () => {
    const { servers: listed } = await a.ask('server', 'list');
    const addresses = new Set(listed.map(({ address }: ServerView) => address));
    return [a, b].every(({ port }) => addresses.has(`127.0.0.1:${port}`));
  });

  const { agent, has, signers } = await joinedAgent(at('host'), [a, b], await tokenOf(b));
  const { used, other } = await inUse(agent, [a, b]);
  const made = await createEntry(other, 'web');
  await eventually('the entry has come to the agent', () => has('web'), { everyMs: 1 });
  console.log(`the entry is in use ${(performance.now() - made).toFixed(0)} ms after its command`);

  const old = await authorityIn(used, 'active');
  expect(signers()).toEqual([old]);
  used.kill('SIGKILL');
  await used.ended;
  await createEntry(other, 'db');
  await eventually('the agent goes on with the other', () => has('db') && has('web'));
  expect((await inUse(agent, [a, b])).used).toBe(other);

  // It comes back at once, as itself; a process that holds the same data directory was it.
  const again = await launch(used === a ? 'a' : 'b', used.port);
  await eventually('both are live again', async () =>
    (await statesAt(again)).every((state) => state === 'live'),
  );

  // What it retires is tainted through the other, and all that it signed is signed anew (F17).
  await again.ask('authority', 'x509', 'prepare');
  const next = await authorityIn(again, 'prepared');
  await again.ask('authority', 'x509', 'activate', next, '--wait', '60s');
  await other.ask('authority', 'x509', 'taint', old);
  const third = await authorityIn(other, 'active');
  await eventually('nothing is signed by it any more', () =>
    signers().every((signer) => signer === third),
  );
  await other.ask('authority', 'x509', 'revoke', old);
  await eventually('the server that had it drops it', async () => {
    const { authorities } = await again.ask('authority', 'x509', 'show');
    return !authorities.some(({ authorityId }: AuthorityView) => authorityId === old);
  });
  expect([has('web'), has('db')]).toEqual([true, true]);
});

it('a token is spent once on whichever server, and no two processes have the ID of one', async () => {
  const { at, launch, a, b } = await place();
  const token = await tokenOf(a);
  const tries = Array.from({ length: 20 }, async (_, i) => {
    const client = (i % 2 === 0 ? a : b).dial();
    try {
      return await client.attest('join_token', Buffer.from(token));
    } finally {
      client.close();
    }
  });
  const outcomes = await Promise.allSettled(tries);
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);

  cpSync(path.join(at('a'), 'data'), path.join(at('c'), 'data'), { recursive: true });
  await expect(launch('c')).rejects.toThrow('ERR_SERVER_ID_TAKEN');
  expect(await statesAt(a)).toEqual(['live', 'live']);
});

it('policies that are applied through one server are waited for at the agents of all', async () => {
  const { at, a, b } = await place();
  mkdirSync(at('host'));
  const authz = { socket: at('host/authz.sock'), policies: { from: 'control-plane' } };
  const agent = startAgent(at('host'), {
    servers: [`127.0.0.1:${b.port}`],
    config: JSON.stringify({ authz }),
    flags: ['--bundle-file', await writeBundle(at('host'), b), '--join-token', await tokenOf(b)],
  });
  onTestFinished(async () => void (await agent.stop()));
  await agent.id;
  const file = at('web.yaml');
  writeFileSync(file, policyText('web', '/a'));
  const applied = await a.ask('policy', 'apply', '-f', file, '--reason', 'first', '--wait');
  expect(applied.waited).toMatchObject({ inForce: 1, away: [] });
  const status = await a.ask('policy', 'status', '--check');
  expect(status).toMatchObject({
    behind: [],
    agents: [{ connected: true, takers: [{ name: 'authz', state: 'in-force', version: 1 }] }],
    servers: [{ id: status.agents[0].server, live: true, current: true, connected: 1, inForce: 1 }],
  });
  expect(status.server).not.toBe(status.agents[0].server);
});
