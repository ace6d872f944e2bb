import type { IssuedX509Svid, X509Ca } from '../ca/index.ts';
import type { RevocationRegistry } from '../revocations/index.ts';
import {
  type AuditLog,
  attestationDigest,
  type Clock,
  type Selector,
  type SpiffeId,
} from '../spiffe/index.ts';
import { x509Issuance } from './issuance-event.ts';

/**
 * Signs an agent's own SVID, and records it.
 * @param selectors as it was attested; undefined for one that is readmitted
 * @param twin the same node by another form of its evidence
 * @throws those of `X509Ca.issueX509Svid`; ERR_AUDIT_WRITE
 */
export type AgentSvidIssuer = (
  id: SpiffeId,
  publicKey: Uint8Array,
  selectors: readonly Selector[] | undefined,
  twin?: SpiffeId,
) => Promise<IssuedX509Svid>;

/** None for an agent that is suspended, by either form of its evidence. @throws TrustplaneError ERR_AGENT_SUSPENDED, ERR_SVID_REVOKED; those of the issuer */
export function guardAgentSvids(
  issue: AgentSvidIssuer,
  revocations: Pick<RevocationRegistry, 'checkIssuance' | 'suspensions'>,
  clock: Pick<Clock, 'now'>,
): AgentSvidIssuer {
  return async (id, publicKey, selectors, twin) => {
    revocations.suspensions.checkAgent(id);
    if (twin !== undefined) revocations.suspensions.checkAgent(twin);
    revocations.checkIssuance({ spiffeId: id, agentId: id, issuedAt: clock.now() });
    return await issue(id, publicKey, selectors);
  };
}

/** @param ttlSeconds asked each time; 0 takes the default of the CA */
export function createAgentSvidIssuer(
  ca: Pick<X509Ca, 'issueX509Svid'>,
  ttlSeconds: () => number,
  { audit, clock }: { readonly audit: AuditLog; readonly clock: Pick<Clock, 'now'> },
): AgentSvidIssuer {
  return async (spiffeId, publicKey, selectors) => {
    const asked = { spiffeId, publicKey, ttlSeconds: ttlSeconds(), dnsNames: [] };
    const svid = await ca.issueX509Svid(asked);
    const reason = {
      spiffeId,
      attestationDigest: selectors && attestationDigest(selectors),
      requester: { kind: 'agent', spiffeId: spiffeId.toString() },
      purpose: 'agent',
    } as const;
    await audit.record([x509Issuance(reason, svid, clock.now())]);
    return svid;
  };
}
