import type { Config } from './config.ts';
import type { Process } from './process.ts';
import type { ServerRole } from './server-role.ts';

/**
 * Has bundles published and heard over NATS, where that is configured; the client of NATS is loaded then.
 * @throws TrustplaneError ERR_NATS_*, ERR_STORE_*
 */
export async function broadcastBundles(
  config: Config,
  process: Process,
  role: ServerRole,
): Promise<void> {
  const { nats } = config.federation;
  if (nats === undefined) {
    const waitsInVain = role.relationships.all().some(({ awaitAck }) => awaitAck);
    if (waitsInVain) process.log.warn({}, 'awaitAck is of no use without federation.nats');
    return;
  }
  const { openBroadcast } = await import('./open-broadcast.ts');
  await openBroadcast(nats, process, role, await role.controlPlane.duty('relay-bundles'));
}
