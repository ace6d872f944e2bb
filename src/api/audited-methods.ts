/** What of a call stands in the ledger: fields of the request, and of the answer. What is not named is not told. */
export interface ToldFields {
  readonly request: readonly string[];
  readonly answer?: readonly string[];
}

const nothing: ToldFields = { request: [] };
const authority: ToldFields = { request: ['authority_id'] };
const upstreamAuthority: ToldFields = { request: ['subject_key_id'] };
const entries: ToldFields = { request: ['entries', 'input_mask'] };
const bundles: ToldFields = { request: ['bundle', 'input_mask', 'reset_sequence'] };
const relationships: ToldFields = { request: ['federation_relationships', 'input_mask'] };
const relationship: ToldFields = { request: ['relationship', 'options', 'input_mask'] };

/**
 * The calls that change something or take something out, by service and method. Signing is not among them: each
 * SVID has a record of its own. Never name what holds a secret (tokens, keys, passphrases).
 */
export const auditedMethods: Readonly<Record<string, Readonly<Record<string, ToldFields>>>> = {
  'spire.api.server.agent.v1.Agent': {
    DeleteAgent: { request: ['id'] },
    BanAgent: { request: ['id'] },
    CreateJoinToken: { request: ['ttl', 'agent_id'], answer: ['expires_at'] },
  },
  'spire.api.server.bundle.v1.Bundle': {
    AppendBundle: { request: ['x509_authorities', 'jwt_authorities'] },
    PublishJWTAuthority: { request: ['jwt_authority'] },
    BatchCreateFederatedBundle: bundles,
    BatchUpdateFederatedBundle: bundles,
    BatchSetFederatedBundle: bundles,
    BatchDeleteFederatedBundle: { request: ['trust_domains', 'mode'] },
  },
  'spire.api.server.trustdomain.v1.TrustDomain': {
    BatchCreateFederationRelationship: relationships,
    BatchUpdateFederationRelationship: relationships,
    BatchDeleteFederationRelationship: { request: ['trust_domains'] },
    RefreshBundle: { request: ['trust_domain'] },
  },
  'spire.api.server.entry.v1.Entry': {
    BatchCreateEntry: entries,
    BatchUpdateEntry: entries,
    BatchDeleteEntry: { request: ['ids'] },
  },
  'spire.api.server.localauthority.v1.LocalAuthority': {
    PrepareJWTAuthority: { request: [], answer: ['prepared_authority'] },
    ActivateJWTAuthority: authority,
    TaintJWTAuthority: authority,
    RevokeJWTAuthority: authority,
    PrepareX509Authority: { request: [], answer: ['prepared_authority'] },
    ActivateX509Authority: authority,
    TaintX509Authority: authority,
    TaintX509UpstreamAuthority: upstreamAuthority,
    RevokeX509Authority: authority,
    RevokeX509UpstreamAuthority: upstreamAuthority,
  },
  'spire.api.server.logger.v1.Logger': {
    SetLogLevel: { request: ['new_level'] },
    ResetLogLevel: nothing,
  },
  'trustplane.admin.v1.Admin': {
    ActivateAuthority: { request: ['kind', 'authority_id', 'force'] },
  },
  'trustplane.admin.v1.Apply': {
    Apply: nothing,
  },
  'trustplane.admin.v1.Backup': {
    CreateBackup: nothing,
  },
  'trustplane.admin.v1.Federation': {
    CreateRelationship: relationship,
    UpdateRelationship: relationship,
    RefreshBundle: { request: ['trust_domain'] },
  },
  'trustplane.admin.v1.Revocations': {
    Revoke: {
      request: ['subject', 'reissue', 'reason', 'dry_run', 'force'],
      answer: ['revocations', 'suspension', 'impact'],
    },
    Unsuspend: { request: ['subject', 'reason'] },
  },
  'trustplane.policy.v1.PolicyService': {
    Apply: { request: [], answer: ['version', 'is_new'] },
    Rollback: {
      request: ['version', 'reason', 'claimed_author', 'expected_version'],
      answer: ['version'],
    },
    Prune: { request: ['keep'], answer: ['forgotten'] },
  },
};
