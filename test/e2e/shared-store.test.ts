import path from 'node:path';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { freePorts } from '../programs/free-ports.ts';
import { launchNatsCluster, type NatsCluster } from '../programs/launch-nats-cluster.ts';
import { launchNatsServer } from '../programs/launch-nats-server.ts';
import {
  type LaunchedServer,
  launchServer,
  logOf,
  program,
  writeServerConfig,
} from '../programs/launch-server.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import { spawnTied } from '../programs/tied-child.ts';

const ID = 'spiffe://shared.test/web';
let cluster: NatsCluster;
const folders: RunFolder[] = [];
const servers: LaunchedServer[] = [];

beforeAll(async () => {
  cluster = await launchNatsCluster();
  for (const _ of [1, 2]) {
    const folder = createRunFolder();
    folders.push(folder);
    servers.push(await launch(folder));
  }
});
afterAll(async () => {
  for (const server of servers) await server.stop();
  for (const folder of folders) await folder.remove();
  await cluster[Symbol.asyncDispose]();
});

it('two servers on three nats-servers are one control plane, whichever nats-server dies', async () => {
  const [first, second] = both();
  await create(first, ID);
  await shows(second, ID);
  const leader = cluster.servers[0];
  await leader?.kill();
  await create(second, `${ID}/2`);
  await shows(first, `${ID}/2`);
  await leader?.start();
  const bundle = await second.ask('bundle', 'show');
  expect(JSON.stringify(bundle)).toContain('x5c');
});

it('a server comes back to what it knew', async () => {
  const [first] = both();
  await first.stop();
  const [folder] = folders;
  if (folder === undefined) throw new Error('there is no folder');
  const again = (servers[0] = await launch(folder));
  await shows(again, ID);
  expect(JSON.stringify(await again.ask('bundle', 'show'))).toContain('x5c');
});

it('a server that is started before its nats-servers waits for them', async () => {
  const [port = 0] = await freePorts(1);
  const folder = createRunFolder();
  folders.push(folder);
  const at = (name: string): string => path.join(folder.path, name);
  const store = { type: 'jetstream', servers: [`nats://127.0.0.1:${port}`], replicas: 1 };
  const places = { dataDir: at('data'), adminSocket: at('admin.sock') };
  const server = { ...places, bindAddress: '127.0.0.1:0', store: { ...store, isTest: true } };
  writeServerConfig(folder.path, JSON.stringify({ server }));
  const file = ['--config', at('trustplane.yaml'), '--output', 'json'];
  const child = spawnTied(process.execPath, [program, 'server', 'run', ...file]);
  onTestFinished(async () => void (await child.stop()));
  const log = logOf(child);
  await log.line('an attempt to connect to NATS failed');
  const nats = await launchNatsServer({ jetStream: true, port });
  onTestFinished(async () => await nats[Symbol.asyncDispose]());
  expect(await log.line('{"ready":true')).toContain('adminSocket');
});

async function launch(folder: RunFolder): Promise<LaunchedServer> {
  const store = {
    type: 'jetstream',
    servers: cluster.urls,
    monitoringUrls: cluster.servers.map((each) => each.monitorUrl),
  };
  const config = JSON.stringify({ trustDomain: 'shared.test', server: { store } });
  return await launchServer(folder.path, { config });
}

function both(): readonly [LaunchedServer, LaunchedServer] {
  const [first, second] = servers;
  if (first === undefined || second === undefined) throw new Error('there are no two servers');
  return [first, second];
}

async function create(server: LaunchedServer, id: string): Promise<void> {
  const parent = 'spiffe://shared.test/host';
  const what = ['--spiffe-id', id, '--parent-id', parent, '--selector', 'unix:uid:0'];
  await server.ask('entry', 'create', ...what);
}

async function shows(server: LaunchedServer, id: string): Promise<void> {
  await eventually(`${id} is there`, async () => {
    return JSON.stringify(await server.ask('entry', 'list')).includes(`"${id}"`);
  });
}
