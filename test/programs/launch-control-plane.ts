import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { askServer, runAdmin } from './fleet-process.ts';
import { logOf, program } from './launch-server.ts';
import { launchStoreCluster } from './launch-store-cluster.ts';
import { layNetwork, type NetworkHost } from './network-hosts.ts';
import { createRestartable, type Restartable } from './restartable.ts';
import { createRunFolder } from './run-folder.ts';
import { launchSidecars, type SidecarPair } from './sidecar-pair.ts';

const natsNames = ['nats-1', 'nats-2', 'nats-3'] as const;
const serverNames = ['server-1', 'server-2', 'server-3'] as const;
const agentNames = ['alpha', 'beta'] as const;

/** What may happen to a process and its host. */
export const faults = ['kill', 'pause', 'partition'] as const;
export type Fault = (typeof faults)[number];

/** A server or nats-server on a host of its own. */
export interface Member {
  readonly name: string;
  /** SIGKILL, SIGSTOP, or its cable is cut. */
  break(fault: Fault): Promise<void>;
  /** Undoes that; resolves when the process is ready again. */
  mend(fault: Fault): Promise<void>;
  /** What it has logged, over all its lives. */
  readonly lines: readonly string[];
}

export interface ServerMember extends Member {
  readonly adminSocket: string;
  /** Where agents reach it. */
  readonly address: string;
}

/** A whole control plane and two hosts that live on it, each program on a host of its own. */
export interface ControlPlane extends AsyncDisposable {
  readonly servers: readonly ServerMember[];
  readonly natsServers: readonly Member[];
  /** By host. */
  readonly agents: readonly Restartable[];
  /** Where `token-spender.ts` listens. */
  readonly spender: string;
  /** The client's Envoy on alpha, the server's on beta. */
  readonly pair: SidecarPair;
}

/** Starts it all; resolves when a request gets through. @param x509SvidTtl such as `40s` */
export async function launchControlPlane(x509SvidTtl: string): Promise<ControlPlane> {
  await using starting = new AsyncDisposableStack();
  const run = createRunFolder();
  starting.defer(async () => await run.remove());
  const at = (name: string): string => path.join(run.path, name);
  const network = starting.use(await layNetwork([...natsNames, ...serverNames, ...agentNames]));
  const natsHosts = natsNames.map((name) => network.host(name));
  const cluster = starting.use(await launchStoreCluster(at('store'), natsHosts));
  const natsServers = cluster.programs.map((each, n) => memberOf(hostAt(natsHosts, n), each));
  const servers = serverNames.map((name) => {
    const host = network.host(name);
    const config = { store: cluster.store, x509Svid: { ttl: x509SvidTtl }, ...fixed };
    return serverOn(starting, host, at(name), config);
  });
  await Promise.all(servers.map((server) => server.mend('kill')));
  const [first] = servers;
  if (first === undefined) throw new Error('there are no servers');
  const bundle = at('bundle.pem');
  writeFileSync(bundle, await runAdmin(first.adminSocket, 'bundle', 'show'));
  const addresses = servers.flatMap(({ address }) => ['--server', address]);
  const agents = await Promise.all(
    agentNames.map(async (name) => {
      const node = `spiffe://example.org/host/${name}`;
      const made = ['token', 'generate', '--spiffe-id', node];
      const { token } = await askServer(first.adminSocket, ...made);
      const flags = [...addresses, '--bundle-file', bundle, '--join-token', String(token)];
      const places = ['--socket', at(`${name}.sock`), '--data-dir', at(name)];
      const key = ['--cache-key-file', at(`${name}.key`)];
      const args = ['agent', 'run', ...flags, ...places, ...key];
      const agent = startable(starting, network.host(name), args);
      await agent.start();
      return agent;
    }),
  );
  const ids = { client: 'spiffe://example.org/client', server: 'spiffe://example.org/server' };
  await createEntry(first, ids.client, 'alpha');
  await createEntry(first, ids.server, 'beta');
  const spender = at('spender.sock');
  await startSpender(starting, network.host('alpha'), spender);
  const pair = await launchSidecars({
    folder: run.path,
    agentSocket: { client: at('alpha.sock'), server: at('beta.sock') },
    hosts: { client: network.host('alpha'), server: network.host('beta') },
    clientId: ids.client,
    serverId: ids.server,
    protocol: 'sotw',
  });
  starting.defer(async () => await pair.stop());
  await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
  const stack = starting.move();
  const dispose = async (): Promise<void> => await stack.disposeAsync();
  return { servers, natsServers, agents, spender, pair, [Symbol.asyncDispose]: dispose };
}

/** Everybody joins from one address here, and keeps what he got to show that it is refused. */
const fixed = { rateLimits: { attestation: 0 }, agentSvid: { ttl: '1h' } };

function memberOf(host: NetworkHost, process: Restartable): Member {
  return {
    name: host.name,
    lines: process.lines,
    async break(fault) {
      if (fault === 'kill') await process.kill();
      else if (fault === 'pause') process.current().kill('SIGSTOP');
      else await host.setLink('down');
    },
    async mend(fault) {
      if (fault === 'kill') await process.start();
      else if (fault === 'pause') process.current().kill('SIGCONT');
      else await host.setLink('up');
    },
  };
}

/** Not started yet. */
function serverOn(
  stack: AsyncDisposableStack,
  host: NetworkHost,
  folder: string,
  server: object,
): ServerMember {
  const adminSocket = path.join(folder, 'admin.sock');
  const address = `${host.address}:8081`;
  const places = { dataDir: path.join(folder, 'data'), adminSocket, bindAddress: address };
  mkdirSync(folder);
  const file = path.join(folder, 'server.yaml');
  writeFileSync(file, JSON.stringify({ server: { id: host.name, ...places, ...server } }));
  const made = startable(stack, host, ['server', 'run', '--config', file]);
  return { ...memberOf(host, made), adminSocket, address };
}

function startable(
  stack: AsyncDisposableStack,
  host: NetworkHost,
  args: readonly string[],
): Restartable {
  const made = createRestartable({
    command: process.execPath,
    args: [program, ...args, '--output', 'json'],
    ready: (child) => logOf(child).line('{"ready":true'),
    spawn: host.spawn,
  });
  stack.defer(async () => {
    made.current().kill('SIGCONT');
    await made.stop();
  });
  return made;
}

async function startSpender(
  stack: AsyncDisposableStack,
  host: NetworkHost,
  socket: string,
): Promise<void> {
  const file = fileURLToPath(new URL('token-spender.ts', import.meta.url));
  const child = host.spawn(process.execPath, [file, socket]);
  stack.defer(async () => void (await child.stop()));
  await logOf(child).line('ready');
}

async function createEntry(server: ServerMember, id: string, host: string): Promise<void> {
  const whose = ['--parent-id', `spiffe://example.org/host/${host}`];
  const selector = ['--selector', `unix:uid:${process.getuid?.() ?? 0}`];
  await runAdmin(server.adminSocket, 'entry', 'create', '--spiffe-id', id, ...whose, ...selector);
}

function hostAt(hosts: readonly NetworkHost[], index: number): NetworkHost {
  const host = hosts[index];
  if (host === undefined) throw new Error(`there is no host ${index}`);
  return host;
}
