import { type Bundle, SpiffeId, type TrustDomain, type TrustMap } from '../spiffe/index.ts';
import { bundleSubject, relaySubject } from './subjects.ts';

/** Whose bundle is listened for, on which subject, and who has to have signed it. */
export interface BundleInterest {
  readonly subject: string;
  readonly trustDomain: TrustDomain;
  readonly publisherId: SpiffeId;
  /** relay: passed on by a server of the own trust domain, which signed it. */
  readonly via: 'broadcast' | 'relay';
}

/** A trust domain and who publishes its bundle. */
export interface BroadcastPeer {
  readonly trustDomain: TrustDomain;
  readonly publisherId: SpiffeId;
}

/** Who signs what the servers of a trust domain publish. */
export function serverIdOf(trustDomain: TrustDomain): SpiffeId {
  return SpiffeId.parse(`spiffe://${trustDomain.name}/spire/server`);
}

/** What a server listens for: the bundles of those it federates with, from themselves. */
export function interestsOfServer(peers: Iterable<BroadcastPeer>): readonly BundleInterest[] {
  return [...peers].map((peer) => ({
    ...peer,
    subject: bundleSubject(peer.trustDomain),
    via: 'broadcast',
  }));
}

/**
 * What an agent listens for: the own bundle; those of federated trust domains from the publishers its
 * servers told it of, and passed on by its servers.
 */
export function interestsOfAgent({ own, federated, terms }: TrustMap): readonly BundleInterest[] {
  const server = serverIdOf(own.trustDomain);
  const peers: BroadcastPeer[] = [{ trustDomain: own.trustDomain, publisherId: server }];
  const relayed: BundleInterest[] = [];
  for (const { trustDomain } of federated.values()) {
    const publisherId = terms.get(trustDomain.name)?.publisherId;
    if (publisherId !== undefined) peers.push({ trustDomain, publisherId });
    const subject = relaySubject(own.trustDomain, trustDomain);
    relayed.push({ subject, trustDomain, publisherId: server, via: 'relay' });
  }
  return [...interestsOfServer(peers), ...relayed];
}

/** The bundle that is trusted, of the own trust domain or another; undefined: none. */
export function trustedBundle(
  { own, federated }: Pick<TrustMap, 'own' | 'federated'>,
  trustDomain: TrustDomain,
): Bundle | undefined {
  return trustDomain.equals(own.trustDomain) ? own : federated.get(trustDomain.name);
}
