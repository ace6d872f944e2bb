import type { AuditEvent, SerialHolder } from '../spiffe/index.ts';

/** What the ledger is asked for. */
export interface SerialSource {
  /** Who got the certificate. @throws TrustplaneError ERR_AUDIT_DAMAGED, ERR_AUDIT_READ */
  findSerial(serialNumber: string): Promise<{ readonly event: AuditEvent } | undefined>;
}

/** Undefined: it is not in the ledger of this server. @throws TrustplaneError ERR_AUDIT_DAMAGED, ERR_AUDIT_READ */
export async function findHolder(
  ledger: SerialSource,
  serialNumber: string,
): Promise<SerialHolder | undefined> {
  const { event } = (await ledger.findSerial(serialNumber)) ?? {};
  if (event?.kind !== 'x509-svid') return undefined;
  const { spiffeId, entryId, purpose, issuedAt, expiresAt, requester } = event;
  const requestedBy = requester.kind === 'agent' ? requester.spiffeId : undefined;
  const agentId = purpose === 'agent' ? spiffeId : requestedBy;
  return { spiffeId, entryId, agentId, purpose, issuedAt, expiresAt };
}

/** trustplane.admin.v1.SerialHolder */
export function buildHolder(holder: SerialHolder): object {
  const { spiffeId, entryId = '', agentId = '', purpose, issuedAt, expiresAt } = holder;
  return {
    spiffe_id: spiffeId,
    entry_id: entryId,
    agent_id: agentId,
    purpose,
    issued_at_ms: String(issuedAt),
    expires_at_ms: String(expiresAt),
  };
}
