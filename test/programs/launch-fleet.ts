import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { askServer, createFleetProcess, type FleetProcess, runAdmin } from './fleet-process.ts';
import { layNetwork, type NetworkHost } from './network-hosts.ts';
import { createRunFolder } from './run-folder.ts';
import { launchSidecars, type SidecarPair } from './sidecar-pair.ts';

const PORT = 8081;

/** The hosts with an agent, a workload and its Envoy. */
export const agentNames = ['alpha', 'beta'] as const;
export type AgentName = (typeof agentNames)[number];

/** A server and two agents, each on a host of its own; Envoys between the agents' hosts. */
export interface Fleet extends AsyncDisposable {
  readonly folder: string;
  readonly adminSocket: string;
  readonly server: FleetProcess;
  readonly agents: Readonly<Record<AgentName, FleetProcess & { readonly socket: string }>>;
  /** The client's Envoy on alpha, the server's on beta. */
  readonly pair: SidecarPair;
  /** Runs an administrator's command and parses what it prints. */
  ask(...args: readonly string[]): Promise<Readonly<Record<string, unknown>>>;
  /** The ID of the X.509 authority in a slot. Throws when it is empty. */
  authorityIn(slot: 'active' | 'prepared'): Promise<string>;
}

/** Starts it all; resolves when a request gets through. `flags` go to `server run`. */
export async function launchFleet(...flags: readonly string[]): Promise<Fleet> {
  await using starting = new AsyncDisposableStack();
  const runFolder = createRunFolder();
  starting.defer(async () => await runFolder.remove());
  const network = starting.use(await layNetwork(['control', ...agentNames]));
  const folder = runFolder.path;
  const control = network.host('control');
  const adminSocket = path.join(folder, 'admin.sock');
  const ask = async (...args: readonly string[]) => await askServer(adminSocket, ...args);

  const address = `${control.address}:${PORT}`;
  const places = ['--data-dir', path.join(folder, 'server'), '--admin-socket', adminSocket];
  const run = ['server', 'run', ...places, '--bind-address', address, ...flags];
  const server = startable(starting, control, run);
  await server.start();
  const bundle = path.join(folder, 'bundle.pem');
  await writeFile(bundle, await runAdmin(adminSocket, 'bundle', 'show'));
  const agents = {
    alpha: await launchAgent('alpha'),
    beta: await launchAgent('beta'),
  };
  const uid = `unix:uid:${process.getuid?.() ?? 0}`;
  const ids = { client: 'spiffe://example.org/client', server: 'spiffe://example.org/server' };
  for (const [spiffeId, host] of [
    [ids.client, 'alpha'],
    [ids.server, 'beta'],
  ] as const)
    await ask(
      'entry',
      'create',
      '--spiffe-id',
      spiffeId,
      '--parent-id',
      idOf(host),
      '--selector',
      uid,
    );
  const pair = await launchSidecars({
    folder,
    agentSocket: { client: socketOf('alpha'), server: socketOf('beta') },
    hosts: { client: network.host('alpha'), server: network.host('beta') },
    clientId: ids.client,
    serverId: ids.server,
    protocol: 'sotw',
  });
  starting.defer(async () => await pair.stop());
  await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
  const stack = starting.move();
  return {
    folder,
    adminSocket,
    server,
    agents,
    pair,
    ask,
    authorityIn: async (slot) => await authorityIn(adminSocket, slot),
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };

  function socketOf(name: AgentName): string {
    return path.join(folder, `${name}.sock`);
  }

  async function launchAgent(name: AgentName): Promise<FleetProcess & { readonly socket: string }> {
    const { token } = await ask('token', 'generate', '--spiffe-id', idOf(name));
    const join = ['--server', address, '--bundle-file', bundle, '--join-token', String(token)];
    const place = ['--data-dir', path.join(folder, name), '--socket', socketOf(name)];
    const agent = startable(starting, network.host(name), ['agent', 'run', ...join, ...place]);
    await agent.start();
    return { ...agent, socket: socketOf(name) };
  }
}

/** What entries name as the parent: the alias of a host's agent. */
function idOf(name: AgentName): string {
  return `spiffe://example.org/host/${name}`;
}

function startable(
  stack: AsyncDisposableStack,
  host: NetworkHost,
  args: readonly string[],
): FleetProcess {
  const made = createFleetProcess(args, host.spawn);
  stack.defer(async () => await made.stop());
  return made;
}

async function authorityIn(adminSocket: string, slot: 'active' | 'prepared'): Promise<string> {
  const printed = await runAdmin(adminSocket, 'authority', 'x509', 'show', '--output', 'json');
  const { authorities }: { authorities: { slot: string; authorityId: string }[] } =
    JSON.parse(printed);
  const found = authorities.find((authority) => authority.slot === slot);
  if (found === undefined) throw new Error(`no authority is ${slot}: ${printed}`);
  return found.authorityId;
}
