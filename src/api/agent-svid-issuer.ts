import type { IssuedX509Svid, X509Ca } from '../ca/index.ts';
import type { RevocationRegistry } from '../revocations/index.ts';
import type { Clock, SpiffeId } from '../spiffe/index.ts';

/** Signs an agent's own SVID. @throws those of `X509Ca.issueX509Svid` */
export type AgentSvidIssuer = (id: SpiffeId, publicKey: Uint8Array) => Promise<IssuedX509Svid>;

/** None for an agent that is suspended. @throws TrustplaneError ERR_AGENT_SUSPENDED, ERR_SVID_REVOKED; those of the issuer */
export function guardAgentSvids(
  issue: AgentSvidIssuer,
  revocations: Pick<RevocationRegistry, 'checkIssuance' | 'suspensions'>,
  clock: Pick<Clock, 'now'>,
): AgentSvidIssuer {
  return async (id, publicKey) => {
    revocations.suspensions.checkAgent(id);
    revocations.checkIssuance({ spiffeId: id, agentId: id, issuedAt: clock.now() });
    return await issue(id, publicKey);
  };
}

/** @param ttlSeconds asked each time; 0 takes the default of the CA */
export function createAgentSvidIssuer(
  ca: Pick<X509Ca, 'issueX509Svid'>,
  ttlSeconds: () => number,
): AgentSvidIssuer {
  return (spiffeId, publicKey) =>
    ca.issueX509Svid({ spiffeId, publicKey, ttlSeconds: ttlSeconds(), dnsNames: [] });
}
