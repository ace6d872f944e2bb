import { compilePlan } from '../compile-plan.ts';
import { decide } from '../decide.ts';
import type { Policy } from '../policy.ts';
import { requestOf } from '../run-tests.ts';
import { finding, type LintFinding } from './lint-finding.ts';

/** Rules that no test of their policy is decided by, and tests whose rule has no part in what they ask. `now`: in milliseconds. */
export function lintTests(policies: readonly Policy[], now: number): LintFinding[] {
  const plan = compilePlan(policies, '');
  return policies.flatMap((policy) => {
    const { name } = policy.metadata;
    const ids = new Set(policy.rules.map(({ id }) => id));
    const tested = new Set<string>();
    const missing = (policy.tests ?? []).flatMap((test, at): LintFinding[] => {
      const decision = decide(plan, requestOf(test, policy, now));
      if (decision.policy === name && decision.ruleId !== undefined) tested.add(decision.ruleId);
      if (test.rule === undefined || test.rule === decision.ruleId) return [];
      const message = ids.has(test.rule)
        ? `is decided by ${decision.ruleId ?? 'no rule'}, not by ${test.rule}`
        : `names the rule ${test.rule}, which is not there`;
      return [
        finding(
          'test-misses-rule',
          name,
          ['tests', at],
          message,
          'name the rule that decides, or ask something else',
        ),
      ];
    });
    if (policy.tests === undefined)
      return [
        finding(
          'policy-without-tests',
          name,
          ['rules'],
          'has no tests',
          'add tests; trustplane policy diff shows requests to start from',
        ),
      ];
    const untested = policy.rules.flatMap(({ id }, at) =>
      tested.has(id)
        ? []
        : [
            finding(
              'rule-without-test',
              name,
              ['rules', at],
              `no test is decided by ${id}`,
              'add a test; trustplane policy diff shows requests to start from',
            ),
          ],
    );
    return [...missing, ...untested];
  });
}
