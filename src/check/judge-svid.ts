import {
  isAccepted,
  type Revocation,
  type RevocationSubject,
  type SpiffeId,
  type TrustMap,
} from '../spiffe/index.ts';

/** Who calls, or why that is not known. */
export type Caller = SpiffeId | 'unauthenticated' | 'bad_svid' | 'unknown_trust_domain' | 'revoked';

/** What is known now of trust domains and of SVIDs that are refused. */
export interface Trust {
  trust(): TrustMap;
  findRevocation(subject: RevocationSubject): Revocation | undefined;
}

/** What an SVID says. */
export interface ShownSvid {
  readonly spiffeId: SpiffeId;
  /** Milliseconds; 0 when that is not known: it may be as old as any that was revoked. */
  readonly issuedAt: number;
  readonly serialNumber?: string | undefined;
}

/**
 * Whether an SVID that was verified is good now: of a trust domain that is known and has authorities of
 * the kind, within its scope, not revoked.
 */
export function judgeSvid(
  svid: ShownSvid,
  kind: 'x509Authorities' | 'jwtAuthorities',
  by: Trust,
): Exclude<Caller, 'unauthenticated' | 'bad_svid'> {
  const { own, federated, terms } = by.trust();
  const { spiffeId } = svid;
  const { trustDomain } = spiffeId;
  const bundle = trustDomain.equals(own.trustDomain) ? own : federated.get(trustDomain.name);
  if (bundle === undefined || bundle[kind].length === 0 || !isAccepted(terms, spiffeId)) {
    return 'unknown_trust_domain';
  }
  return by.findRevocation(svid) === undefined ? spiffeId : 'revoked';
}
