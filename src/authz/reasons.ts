/** Every reason a decision can have. */
export const reasons = [
  'allowed_by_rule',
  'denied_by_rule',
  'no_rule_matched',
  'unauthenticated',
  'bad_svid',
  'unknown_trust_domain',
  'revoked',
  'non_canonical_path',
  'non_canonical_host',
  'body_too_large',
  'too_costly',
  'policy_missing',
  'bad_request',
  'mapping_conflict',
  'internal_error',
] as const;
export type Reason = (typeof reasons)[number];
