import { interestsOfAgent, openBundleSubscriber, trustedBundle } from '../broadcast/index.ts';
import type { BroadcastOverlay, Node } from '../node/index.ts';
import type { NatsConfig } from './nats-config.ts';
import { openNatsLink } from './open-nats-link.ts';
import type { Process } from './process.ts';

/**
 * Has an agent hear of bundles over NATS, also while its servers are down; closed with `process`. It
 * waits for no connection.
 * @throws TrustplaneError ERR_NATS_*
 */
export function hearBundles(
  nats: NatsConfig,
  process: Process,
  { node, overlay }: { readonly node: Node; readonly overlay: BroadcastOverlay },
): void {
  const { closing } = process;
  const link = openNatsLink(nats, process, {
    role: 'agent',
    identity: () => node.identity(),
    trust: overlay,
  });
  const subscriber = openBundleSubscriber({
    ...process,
    link,
    interests: () => interestsOfAgent(overlay.current()),
    trusted: (trustDomain) => trustedBundle(overlay.current(), trustDomain),
    take(bundle, { publisherId }, issuedAt) {
      const isOfServer = publisherId.trustDomain.equals(overlay.current().own.trustDomain);
      overlay.hear(bundle, isOfServer ? issuedAt : undefined);
    },
  });
  closing.defer(() => subscriber.close());
  closing.defer(overlay.watch(() => subscriber.refresh()));
}
