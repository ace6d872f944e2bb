import type { IssuedX509Svid, X509Ca } from '../ca/index.ts';
import type { SpiffeId } from '../spiffe/index.ts';

/** Signs an agent's own SVID. @throws those of `X509Ca.issueX509Svid` */
export type AgentSvidIssuer = (id: SpiffeId, publicKey: Uint8Array) => Promise<IssuedX509Svid>;

/** @param ttlSeconds asked each time; 0 takes the default of the CA */
export function createAgentSvidIssuer(
  ca: Pick<X509Ca, 'issueX509Svid'>,
  ttlSeconds: () => number,
): AgentSvidIssuer {
  return (spiffeId, publicKey) =>
    ca.issueX509Svid({ spiffeId, publicKey, ttlSeconds: ttlSeconds(), dnsNames: [] });
}
