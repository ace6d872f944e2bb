import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createPolicyClient, type PolicyClient } from '../../src/client/index.ts';
import { askServer, createFleetProcess, type FleetProcess, runAdmin } from './fleet-process.ts';
import { freePorts } from './free-ports.ts';

/** An agent whose authorization goes by the policies of the control plane. */
export interface PolicyAgent extends FleetProcess {
  /** Workload API and SDS. */
  readonly socket: string;
  readonly authzSocket: string;
}

/** A server that delivers policies, and agents, as processes of this machine that speak TLS. */
export interface PolicyFleet extends AsyncDisposable {
  readonly adminSocket: string;
  readonly server: FleetProcess;
  readonly agents: readonly PolicyAgent[];
  readonly policies: PolicyClient;
}

/**
 * Starts all of it in `folder`; resolves when each is ready. With `rbac`, which `authz.rbac` then says,
 * agents give rules to Envoys, and nobody can ask them about requests.
 */
export async function launchPolicyFleet(
  folder: string,
  count: number,
  rbac?: object,
): Promise<PolicyFleet> {
  await using starting = new AsyncDisposableStack();
  const adminSocket = path.join(folder, 'admin.sock');
  const [port = 0] = await freePorts(1);
  const address = `127.0.0.1:${port}`;
  const places = ['--data-dir', path.join(folder, 'server'), '--admin-socket', adminSocket];
  const bind = ['--bind-address', address, '--log-level', 'warn'];
  const server = createFleetProcess(['server', 'run', ...places, ...bind]);
  starting.defer(async () => await server.stop());
  await server.start();
  const bundle = path.join(folder, 'bundle.pem');
  await writeFile(bundle, await runAdmin(adminSocket, 'bundle', 'show'));
  const agents: PolicyAgent[] = [];
  for (let at = 0; at < count; at++) {
    const { token } = await askServer(adminSocket, 'token', 'generate', '--spiffe-id', hostId(at));
    const socket = path.join(folder, `agent-${at}.sock`);
    const authzSocket = path.join(folder, `authz-${at}.sock`);
    const config = path.join(folder, `agent-${at}.json`);
    const policies = { from: 'control-plane' };
    const how = rbac === undefined ? { socket: authzSocket } : { rbac };
    await writeFile(config, JSON.stringify({ authz: { ...how, policies } }));
    const join = ['--server', address, '--bundle-file', bundle, '--join-token', String(token)];
    const own = ['--data-dir', path.join(folder, `agent-${at}`), '--socket', socket];
    const flags = ['--config', config, ...join, ...own, '--log-level', 'warn'];
    const agent = createFleetProcess(['agent', 'run', ...flags]);
    starting.defer(async () => await agent.stop());
    await agent.start();
    agents.push(Object.assign(agent, { socket, authzSocket }));
  }
  const policies = createPolicyClient(adminSocket);
  starting.defer(() => policies.close());
  const stack = starting.move();
  return {
    adminSocket,
    server,
    agents,
    policies,
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

/** What entries of an agent's host name as their parent. */
export function hostId(at: number): string {
  return `spiffe://example.org/host/${at}`;
}

/** Puts policy files into a directory, in the place of those that were there. */
export function writePolicies(directory: string, texts: Readonly<Record<string, string>>): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(texts)) {
    writeFileSync(path.join(directory, name), text);
  }
}
