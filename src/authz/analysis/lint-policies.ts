import type { Policy } from '../policy.ts';
import { Budget } from './budget.ts';
import { lintCoverage } from './lint-coverage.ts';
import { lintDodges } from './lint-dodges.ts';
import type { LintFinding } from './lint-finding.ts';
import { lintRules, lintTrustDomains } from './lint-rules.ts';
import { lintTests } from './lint-tests.ts';
import { uniteServices } from './united-services.ts';

export interface LintOptions {
  /** Milliseconds. */
  readonly now: number;
  /** Ours and those federated; undefined: not known, so none is told. */
  readonly trustDomains?: readonly string[] | undefined;
}

/** What is allowed to be written and is rarely meant. The policies are looked at together, as they are decided by, every stage as if it were enforced. */
export function lintPolicies(
  policies: readonly Policy[],
  { now, trustDomains }: LintOptions,
): LintFinding[] {
  const enforced = policies.map((policy) => ({ ...policy, mode: undefined }));
  const services = uniteServices(enforced, new Budget(Number.POSITIVE_INFINITY));
  return [
    ...policies.flatMap((policy) => lintRules(policy, now)),
    ...(trustDomains === undefined
      ? []
      : policies.flatMap((policy) => lintTrustDomains(policy, trustDomains))),
    ...lintCoverage(services),
    ...lintDodges(services),
    ...lintTests(enforced, now),
  ];
}
