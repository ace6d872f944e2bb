import { selfTestPeerCredentials } from '../wire/index.ts';
import { both } from './both.ts';
import type { Config } from './config.ts';
import { openFleet } from './fleet.ts';
import { type BundleEndpoint, openBundleEndpoint } from './open-bundle-endpoint.ts';
import { openState } from './open-state.ts';
import { createProcess, type Process } from './process.ts';
import { type Running, runProcess } from './run-process.ts';
import { type Server, serveAdministrators, serveAgents } from './server.ts';
import { openServerRole } from './server-role.ts';

/** Where agents reach a server whose configuration does not say. */
const DEFAULT_ADDRESS = { host: '127.0.0.1', port: 8081 };

/** A server for agents on other hosts, serving. */
export interface ServerRun {
  readonly server: Server;
  /** Where agents reach it. */
  readonly address: { readonly host: string; readonly port: number };
  /** Where anybody reads the bundle, if they may. */
  readonly bundleEndpoint: BundleEndpoint | undefined;
}

/**
 * Starts a server on the embedded store; resolves when it serves agents and administrators.
 * @throws TrustplaneError of whatever could not be opened; then nothing is left open
 */
export async function startServer(
  config: Config,
  process: Process = createProcess(config.logLevel),
): Promise<ServerRun & Running> {
  return await runProcess(config, process, () => start(config, process));
}

async function start(config: Config, process: Process): Promise<ServerRun> {
  const [store] = await both(openState(config, process), selfTestPeerCredentials());
  const role = await openServerRole(config, process, store);
  const server = { role, fleet: await openFleet(config, process, store, role) };
  const address = config.bindAddress ?? DEFAULT_ADDRESS;
  const agents = await serveAgents(address, process, server);
  const bundleEndpoint = await openBundleEndpoint(config, process, role);
  await serveAdministrators(config, process, server, { agents, bundleEndpoint });
  const { host, port } = agents;
  const { trustDomain, adminSocket } = config;
  process.log.info({ trustDomain: trustDomain.name, host, port, adminSocket }, 'ready');
  return { server, address: { host, port }, bundleEndpoint };
}
