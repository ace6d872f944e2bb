/** What a lint found. */
export interface LintFinding {
  readonly code: LintCode;
  readonly severity: LintSeverity;
  readonly policy: string;
  /** Where in the policy. */
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** What to write instead, in words. */
  readonly fix: string;
}

export type LintSeverity = 'error' | 'warning' | 'info';

/** Every lint and how bad it is. */
const lintCodes = {
  'never-matches': 'error',
  'dead-rule': 'warning',
  'shadowed-rule': 'warning',
  'duplicate-rule': 'warning',
  'dodgeable-deny': 'warning',
  'deny-not-for-connections': 'warning',
  'mapping-conflict': 'warning',
  'mapping-conflict-possible': 'info',
  'allow-anyone': 'warning',
  'allow-authenticated': 'info',
  'any-trust-domain': 'warning',
  'unknown-trust-domain': 'warning',
  'prefix-without-boundary': 'warning',
  'looks-like-regex': 'warning',
  'unusual-method': 'warning',
  'unstripped-header': 'warning',
  expired: 'warning',
  'test-misses-rule': 'warning',
  'policy-without-tests': 'info',
  'rule-without-test': 'info',
  'unused-set': 'info',
  'allow-meets-deny': 'info',
  'too-complex': 'info',
} as const;

export type LintCode = keyof typeof lintCodes;

export function finding(
  code: LintCode,
  policy: string,
  path: LintFinding['path'],
  message: string,
  fix: string,
): LintFinding {
  return { code, severity: lintCodes[code], policy, path, message, fix };
}
