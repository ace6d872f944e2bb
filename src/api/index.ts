/** The server's own API: entries, agents, bundles and status for administrators, attestation and issuance for agents. */
export { createAdminService } from './admin-service.ts';
export { AgentEntitlements, nodeSelectorsOf } from './agent-entitlements.ts';
export { createAgentService } from './agent-service.ts';
export { createAgentSvidIssuer, guardAgentSvids } from './agent-svid-issuer.ts';
export { createApplyService } from './apply-service.ts';
export type { NodeAttestor } from './attest-agent.ts';
export { type AuditSource, createAuditService } from './audit-service.ts';
export { audited } from './audited.ts';
export { Authorization } from './authorization.ts';
export { createAuthorizedEntriesMethods } from './authorized-entries-methods.ts';
export { createBackupService } from './backup-service.ts';
export { createBundleService } from './bundle-service.ts';
export { createCrlService } from './crl-service.ts';
export { createAgentDebugService, createDebugService } from './debug-service.ts';
export { createEntryService } from './entry-service.ts';
export { ExplainKnowledge } from './explain-knowledge.ts';
export type { ExplainRequest } from './explain-messages.ts';
export { createAgentExplainService, createExplainService } from './explain-service.ts';
export { createFederationService } from './federation-service.ts';
export { x509Issuance } from './issuance-event.ts';
export { guardIssuance } from './issuance-guard.ts';
export { createJwtIssuance, type JwtIssuance } from './jwt-issuance.ts';
export { createLocalAuthorityService } from './local-authority-service.ts';
export { createLoggerService } from './logger-service.ts';
export { createPolicyService, type PolicyServiceOptions } from './policy-service.ts';
export { RateLimits } from './rate-limits.ts';
export type { UserNames } from './requester-of.ts';
export { requireAdmin } from './require-admin.ts';
export { createRevocationService } from './revocation-service.ts';
export { createRevokingEntries } from './revoking-entries.ts';
export { createServersService, type ServersServiceOptions } from './servers-service.ts';
export { StoreCursor, type StoreReader } from './store-cursor.ts';
export {
  createSvidIssuance,
  type SvidIssuance,
} from './svid-issuance.ts';
export { createSvidService } from './svid-service.ts';
export { SyncHub, type SyncHubOptions } from './sync-hub.ts';
export { type ConfirmationSink, createSyncService } from './sync-service.ts';
export { createTracedEntries } from './traced-entries.ts';
export { createTrustDomainService } from './trust-domain-service.ts';
export { WorkloadReports } from './workload-reports.ts';
