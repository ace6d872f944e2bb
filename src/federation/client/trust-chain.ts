import type { TrustDomain } from '../../spiffe/index.ts';
import type { FederationRelationship } from '../relationship.ts';

/** More trust domains than this that must all be honest are many. */
const LONG = 2;

/** Whom a fetched bundle is believed through. */
export interface TrustChain {
  /** The trust domain, that of its endpoint, that of the endpoint of that one, and so on. */
  readonly trustDomains: readonly string[];
  /** What the last one is believed by; `cycle`: by one before it. */
  readonly end: 'web-pki' | 'private-ca' | 'itself' | 'own' | 'set' | 'cycle';
  readonly isLong: boolean;
}

/** The chain of relationships behind one (SPIFFE Federation §7.6). */
export function trustChainOf(
  relationship: FederationRelationship,
  own: TrustDomain,
  relationshipOf: (trustDomain: TrustDomain) => FederationRelationship | undefined,
): TrustChain {
  const trustDomains = [relationship.trustDomain.name];
  const ended = (end: TrustChain['end']): TrustChain => ({
    trustDomains,
    end,
    isLong: trustDomains.length > LONG || end === 'cycle',
  });
  let link = relationship;
  for (;;) {
    if (link.profile.type === 'https_web') {
      return ended(link.webCa === undefined ? 'web-pki' : 'private-ca');
    }
    const { trustDomain } = link.profile.endpointSpiffeId;
    if (trustDomain.equals(link.trustDomain)) return ended('itself');
    if (trustDomain.equals(own)) return ended('own');
    if (trustDomains.includes(trustDomain.name)) return ended('cycle');
    trustDomains.push(trustDomain.name);
    const next = relationshipOf(trustDomain);
    if (next === undefined) return ended('set');
    link = next;
  }
}
