import { afterAll, beforeAll, expect, it } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { launchNatsCluster, type NatsCluster } from '../programs/launch-nats-cluster.ts';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

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
