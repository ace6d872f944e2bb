import { agentSource, aggregatedSource, clusterSource } from './agent-source.ts';
import type { BootstrapOptions } from './bootstrap-options.ts';
import { clustersOf } from './clusters.ts';
import { note, type TreeMap } from './commented-tree.ts';
import { checkEnvoyVersion, type Piece } from './envoy-version.ts';
import { listenersOf } from './listeners.ts';
import { addressOf } from './place.ts';

/**
 * The whole configuration of a sidecar.
 * @throws TrustplaneError ERR_USAGE when the Envoy that is named cannot run it
 */
export function buildBootstrap(options: BootstrapOptions): TreeMap {
  if (options.envoyVersion !== undefined)
    checkEnvoyVersion(options.envoyVersion, piecesOf(options));
  return {
    node: {
      id: note(
        'Only a name in logs and in `trustplane policy status`: the agent knows Envoy by its process, not by what it says.',
        options.nodeId,
      ),
      cluster: options.inbound === undefined ? 'client' : 'server',
    },
    admin:
      options.admin === undefined
        ? undefined
        : {
            address: note(
              'Who reaches this address controls Envoy and can read its certificates: never beyond the host.',
              addressOf(options.admin),
            ),
          },
    dynamic_resources: aggregatedSource(options),
    static_resources: {
      listeners: listenersOf(options, agentSource(options)),
      clusters: clustersOf(options, clusterSource(options)),
    },
  };
}

/** What is in it that an Envoy may be too old for. */
function piecesOf({ isTcp, inbound }: BootstrapOptions): readonly Piece[] {
  const isDecidedHere = inbound !== undefined && (inbound.hasRules || inbound.check !== undefined);
  return isTcp && isDecidedHere ? [decidedConnections] : [];
}

/** `upstream_connect_mode`, and `on_downstream_tls_handshake` of the state that rules go by. */
const decidedConnections: Piece = {
  name: 'deciding about a TCP connection before the application is connected',
  since: [1, 37],
};
