import { selfTestPeerCredentials } from '../wire/index.ts';
import { both } from './both.ts';
import type { Config } from './config.ts';
import { type Fleet, openFleet } from './fleet.ts';
import { openMetrics } from './open-metrics.ts';
import { openState } from './open-state.ts';
import { createProcess, type Process } from './process.ts';
import { type Running, runProcess } from './run-process.ts';
import { openServerRole, type ServerRole } from './server-role.ts';

/** A server for agents on other hosts, serving. */
export interface ServedFleet {
  readonly server: ServerRole;
  readonly fleet: Fleet;
  /** Where agents reach it. */
  readonly address: { readonly host: string; readonly port: number };
}

/**
 * Starts a server on the embedded store; resolves when it serves agents and administrators.
 * @throws TrustplaneError of whatever could not be opened; then nothing is left open
 */
export async function startServer(
  config: Config,
  process: Process = createProcess(config.logLevel),
): Promise<ServedFleet & Running> {
  return await runProcess(config, process, () => start(config, process));
}

async function start(config: Config, process: Process): Promise<ServedFleet> {
  const [store] = await both(openState(config, process), selfTestPeerCredentials());
  const server = await openServerRole(config, process, store);
  const fleet = await openFleet(config, process, store, server);
  const { host, port } = await fleet.serve();
  const health = await server.serve(() => [], fleet.forAdministrators);
  await openMetrics(config, process);
  health.setStatus('', 'SERVING');
  const { trustDomain, adminSocket } = config;
  process.log.info({ trustDomain: trustDomain.name, host, port, adminSocket }, 'ready');
  return { server, fleet, address: { host, port } };
}
