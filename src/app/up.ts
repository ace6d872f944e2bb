import { both } from './both.ts';
import type { UpConfig } from './config.ts';
import { openState } from './open-state.ts';
import { createProcess, type Process } from './process.ts';
import type { Roles } from './roles.ts';

/** A running server and agent in one process. */
export interface Up extends Roles {
  /** Resolves when something failed for good. */
  readonly failed: Promise<Error>;
  /** Drains and closes everything, last opened first. */
  close(): Promise<void>;
}

/**
 * Starts server and agent on the embedded store; resolves when both serve.
 * @throws TrustplaneError of whatever could not be opened; then nothing is left open
 */
export async function startUp(
  config: UpConfig,
  process: Process = createProcess(config.logLevel),
): Promise<Up> {
  try {
    return await start(config, process);
  } catch (error) {
    await process.closing.disposeAsync();
    throw error;
  }
}

/** What serves is loaded while the store opens on its own thread. */
async function start(config: UpConfig, process: Process): Promise<Up> {
  const { closing, log } = process;
  if (config.x509SvidTtlMs > config.caTtlMs / 6) {
    log.warn(
      { x509SvidTtlMs: config.x509SvidTtlMs, caTtlMs: config.caTtlMs },
      'X509-SVIDs that live longer than a sixth of the CA are cut short before a rotation',
    );
  }
  const [store, { serveRoles }] = await both(openState(config, process), import('./roles.ts'));
  const roles = await serveRoles(config, process, store);
  log.info(
    {
      trustDomain: config.trustDomain.name,
      socket: config.socket,
      adminSocket: config.adminSocket,
    },
    'ready',
  );
  return {
    ...roles,
    failed: process.failed,
    async close() {
      log.info({}, 'stopping');
      await closing.disposeAsync();
      log.info({}, 'stopped');
    },
  };
}
