import type { Config } from './config.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Broadcast, BroadcastingServer } from './open-broadcast.ts';
import type { Process } from './process.ts';

/**
 * Has bundles published and heard over NATS, where that is configured; the client of NATS is loaded then.
 * @throws TrustplaneError ERR_NATS_*, ERR_STORE_*
 */
export async function broadcastBundles(
  config: Config,
  process: Process,
  server: BroadcastingServer & { readonly controlPlane: Pick<ControlPlane, 'duty'> },
): Promise<Broadcast | undefined> {
  const { nats } = config.federation;
  if (nats === undefined) {
    process.readiness.observe('broadcast', () => vainWait(server));
    return undefined;
  }
  const { openBroadcast } = await import('./open-broadcast.ts');
  return await openBroadcast(
    nats,
    process,
    server,
    await server.controlPlane.duty('relay-bundles'),
  );
}

/** Nobody acknowledges. */
function vainWait({ relationships }: BroadcastingServer): string | undefined {
  const awaited = relationships.all().find(({ awaitAck }) => awaitAck);
  if (awaited === undefined) return undefined;
  return `awaitAck of ${awaited.trustDomain.name} holds rotations up: there is no federation.nats`;
}
