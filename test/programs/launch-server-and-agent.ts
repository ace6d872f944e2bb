import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { askServer, createFleetProcess, type FleetProcess, runAdmin } from './fleet-process.ts';

/** A server and an agent on this machine, as two processes that speak TLS. */
export interface ServerAndAgent extends AsyncDisposable {
  readonly adminSocket: string;
  /** Workload API and SDS of the agent. */
  readonly socket: string;
  /** Path of the agent's SPIFFE ID. */
  readonly agentPath: string;
  readonly server: FleetProcess;
  readonly agent: FleetProcess;
}

/** Flags beside those of places and addresses. */
interface FleetFlags {
  readonly server?: readonly string[];
  readonly both?: readonly string[];
}

/** Starts both in `folder`, the agent with a token; resolves when both are ready. */
export async function launchServerAndAgent(
  folder: string,
  { server: serverFlags = [], both = [] }: FleetFlags = {},
): Promise<ServerAndAgent> {
  const adminSocket = path.join(folder, 'admin.sock');
  const socket = path.join(folder, 'agent.sock');
  await using starting = new AsyncDisposableStack();
  const places = ['--data-dir', path.join(folder, 'server'), '--admin-socket', adminSocket];
  const bind = ['--bind-address', '127.0.0.1:0', '--log-level', 'warn'];
  const server = createFleetProcess(['server', 'run', ...places, ...bind, ...serverFlags, ...both]);
  starting.defer(async () => await server.stop());
  const { address } = await server.start();
  const bundle = path.join(folder, 'bundle.pem');
  await writeFile(bundle, await runAdmin(adminSocket, 'bundle', 'show'));
  const { token } = await askServer(adminSocket, 'token', 'generate');
  const join = [
    '--server',
    String(address),
    '--bundle-file',
    bundle,
    '--join-token',
    String(token),
  ];
  const place = ['--data-dir', path.join(folder, 'agent'), '--socket', socket];
  const agent = createFleetProcess([
    'agent',
    'run',
    ...join,
    ...place,
    '--log-level',
    'warn',
    ...both,
  ]);
  starting.defer(async () => await agent.stop());
  await agent.start();
  const stack = starting.move();
  return {
    adminSocket,
    socket,
    agentPath: `/spire/agent/join_token/${String(token)}`,
    server,
    agent,
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}
