import { both } from './both.ts';
import type { Config } from './config.ts';
import { openState } from './open-state.ts';
import { createProcess, type Process } from './process.ts';
import type { Roles } from './roles.ts';
import { type Running, runProcess } from './run-process.ts';

/** A running server and agent in one process. */
export type Up = Roles & Running;

/**
 * Starts server and agent on the embedded store; resolves when both serve.
 * @throws TrustplaneError of whatever could not be opened; then nothing is left open
 */
export async function startUp(
  config: Config,
  process: Process = createProcess(config.logLevel),
): Promise<Up> {
  return await runProcess(config, process, () => start(config, process));
}

/** What serves is loaded while the store opens on its own thread. */
async function start(config: Config, process: Process): Promise<Roles> {
  const [store, { serveRoles }] = await both(openState(config, process), import('./roles.ts'));
  const roles = await serveRoles(config, process, store);
  const { trustDomain, socket, adminSocket } = config;
  process.log.info({ trustDomain: trustDomain.name, socket, adminSocket }, 'ready');
  return roles;
}
