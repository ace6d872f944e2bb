import type { Policy, PolicyRule } from '../policy.ts';
import type { Branch } from './branch.ts';
import { type Way, waysOf } from './build-branches.ts';

/** A rule of a service and the ways to match it. */
export interface AnalysedRule {
  readonly policy: Policy;
  readonly rule: PolicyRule;
  /** As policy/rule. */
  readonly name: string;
  readonly isAllow: boolean;
  readonly ways: readonly Way[];
}

export function analyseRules(policies: readonly Policy[]): AnalysedRule[] {
  return policies.flatMap((policy) =>
    policy.rules.map((rule) => ({
      policy,
      rule,
      name: `${policy.metadata.name}/${rule.id}`,
      isAllow: rule.allow !== undefined,
      ways: waysOf(rule, policy.sets),
    })),
  );
}

/** The branches of rules, each by its place in the list. `percentOf`: of the callers that a rule is for. */
export function branchesOf(
  rules: readonly AnalysedRule[],
  percentOf: (rule: AnalysedRule) => number | undefined = () => undefined,
): Branch[] {
  const branches: Branch[] = [];
  for (const [rule, analysed] of rules.entries())
    for (const way of analysed.ways)
      branches.push({ ...way, number: branches.length, rule, percent: percentOf(analysed) });
  return branches;
}

/** The rules that branches belong to, each once. */
export function rulesOf(
  branches: readonly Branch[],
  rules: readonly AnalysedRule[],
): AnalysedRule[] {
  return [...new Set(branches.map(({ rule }) => rule))].flatMap((number) => rules[number] ?? []);
}

/** True if an allow is for callers that show a JWT-SVID: it lists them, or it is for anyone. */
export function usesTokens(rules: readonly AnalysedRule[]): boolean {
  return rules.some(
    ({ isAllow, ways }) =>
      isAllow && ways.some(({ caller }) => caller?.credentials.includes('jwt-svid') ?? true),
  );
}
