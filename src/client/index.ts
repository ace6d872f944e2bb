/** Talks to trustplane and to any Workload API: the admin client, the Workload API client, health. */
export { type AdminClient, createAdminClient, type ServerStatus } from './admin-client.ts';
export { type AgentClient, type AgentView, createAgentClient } from './agent-client.ts';
export { type AgentStatus, fetchAgentStatus } from './agent-status.ts';
export { type ApplyClient, createApplyClient } from './apply-client.ts';
export type {
  AppliedView,
  ChangeView,
  DocumentsToApply,
  ImpactView,
  PlanView,
} from './apply-view.ts';
export { type AuditClient, createAuditClient } from './audit-client.ts';
export {
  type AuthorityClient,
  type AuthorityKind,
  type AuthorityStateView,
  createAuthorityClient,
  type LaggardView,
  type RotationView,
} from './authority-client.ts';
export { type BackupClient, createBackupClient } from './backup-client.ts';
export { type BundleClient, createBundleClient, type DeleteMode } from './bundle-client.ts';
export { checkHealth } from './check-health.ts';
export { type CrlClient, type CrlView, createCrlClient } from './crl-client.ts';
export {
  ENDPOINT_VARIABLE,
  type EndpointAddress,
  findEndpointAddress,
  parseEndpointAddress,
} from './endpoint-address.ts';
export type { EntryMessage, EntryView, SpiffeIdMessage } from './entry-message.ts';
export {
  type ExplainQuestion,
  type ExplanationView,
  explainAtAgent,
  explainAtServer,
  type WhatIfQuestion,
} from './explain-client.ts';
export {
  createFederationClient,
  type FederationClient,
  type RelationshipDraft,
} from './federation-client.ts';
export { createLoggerClient, type LoggerClient, type LoggerState } from './logger-client.ts';
export {
  type ApplyRequest,
  createPolicyClient,
  type PolicyClient,
  type PolicyFileView,
} from './policy-client.ts';
export type {
  PolicyAgentView,
  PolicyApplyView,
  PolicyServerView,
  PolicyStatusView,
  PolicyVersionView,
} from './policy-message.ts';
export type { RelationshipView } from './relationship-view.ts';
export { createRevocationClient, type RevocationClient } from './revocation-client.ts';
export { createServersClient, type ServersClient, type ServerView } from './servers-client.ts';
export { createSvidClient, type SvidClient } from './svid-client.ts';
export {
  openUpstreamServers,
  type UpstreamServers,
  type UpstreamServersOptions,
} from './upstream-servers.ts';
export {
  createWorkloadApiClient,
  type WorkloadApiClient,
  type X509WatchEvent,
} from './workload-api-client.ts';
export type { FetchedJwt, ValidatedJwt } from './workload-jwt-calls.ts';
export type { X509Context, X509ContextSvid } from './x509-context.ts';
