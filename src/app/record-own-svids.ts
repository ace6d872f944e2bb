import { x509Issuance } from '../api/index.ts';
import type { IssuedX509Svid, X509Ca } from '../ca/index.ts';
import type { AuditLog, Clock, SpiffeId } from '../spiffe/index.ts';

/** What signs the SVIDs that a server itself shows. */
export type OwnSvidCa = Pick<X509Ca, 'active' | 'anchors' | 'issueX509Svid' | 'issueX509SvidUnder'>;

/** The authority, with what it signs in the ledger as the server's own, before anybody sees it. */
export function recordOwnSvids(
  ca: OwnSvidCa,
  audit: AuditLog,
  clock: Pick<Clock, 'now'>,
): OwnSvidCa {
  const recorded = async (spiffeId: SpiffeId, svid: IssuedX509Svid): Promise<IssuedX509Svid> => {
    const reason = { spiffeId, requester: { kind: 'server' }, purpose: 'server' } as const;
    await audit.record([x509Issuance(reason, svid, clock.now())]);
    return svid;
  };
  return {
    active: ca.active,
    anchors: () => ca.anchors(),
    issueX509Svid: async (request) =>
      await recorded(request.spiffeId, await ca.issueX509Svid(request)),
    issueX509SvidUnder: async (authorityId, request) =>
      await recorded(request.spiffeId, await ca.issueX509SvidUnder(authorityId, request)),
  };
}
