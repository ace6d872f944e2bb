import type { Decision, ShadowDecision, StagedDecision } from './decision.ts';
import { hashOf } from './hash-text.ts';
import type { Plan, PlanPolicy, PlanRule } from './plan.ts';

/** What policies that are tried come to. */
export interface Trial {
  /** Rules that match and take no effect, as policy/rule. */
  readonly observed: readonly string[];
  /** What it would be if all of them were enforced. */
  readonly shadow: ShadowDecision;
  readonly staged: readonly StagedDecision[];
}

type Decide = (rules: readonly PlanRule[]) => Decision;

/** Whether a policy's rules take effect for a caller; of a canary for the same share of the callers each time. */
export function isEnforced(
  plan: Pick<Plan, 'promoted'>,
  policy: PlanPolicy,
  callerId: string | undefined,
): boolean {
  const { mode } = policy;
  if (mode === undefined || !isStaged(plan, policy)) return true;
  if (mode.stage === 'observe' || callerId === undefined) return false;
  return hashOf(callerId, 0, callerId.length) % 100 < (mode.percent ?? 0);
}

/** True if a policy is tried: observed, or enforced for some callers. */
export function isStaged(
  { promoted }: Pick<Plan, 'promoted'>,
  { name, mode, version }: PlanPolicy,
): boolean {
  if (mode === undefined || mode.stage === 'enforce') return false;
  return promoted.size === 0 || !promoted.has(promotionKey(name, version));
}

/** A plan in which policies that were tried, as they were then, are enforced for everybody. */
export function promotePolicies(
  plan: Plan,
  policies: Iterable<Pick<StagedDecision, 'policy' | 'version'>>,
): Plan {
  const keys = Array.from(policies, ({ policy, version }) => promotionKey(policy, version));
  return { ...plan, promoted: new Set(keys) };
}

/** A plan in which every policy is enforced for everybody, whatever its stage. */
export function enforceAll(plan: Plan): Plan {
  return { ...plan, promoted: { size: 1, has: () => true } };
}

function promotionKey(policy: string, version: number): string {
  return `${policy} ${version}`;
}

/**
 * Decides as if the policies that are tried were enforced: all of them, and each with and without it while the
 * others are as they are. `matched` and of them those `enforced`; there is one of a policy that is tried.
 */
export function tryStaged(
  plan: Pick<Plan, 'promoted'>,
  matched: readonly PlanRule[],
  enforced: readonly PlanRule[],
  decide: Decide,
): Trial {
  const tried = new Map(
    matched.flatMap(({ policy }) => (isStaged(plan, policy) ? [[policy.name, policy]] : [])),
  );
  const { isAllowed, ruleId } = decide(matched);
  return {
    observed: matched
      .filter((rule) => !enforced.includes(rule))
      .map(({ id, policy }) => `${policy.name}/${id}`),
    shadow: { isAllowed, ruleId },
    staged: Array.from(tried.values(), ({ name, version, mode }) => ({
      policy: name,
      version,
      promoteAfter: mode?.promoteAfter,
      isChanged: !isSame(
        decide(matched.filter((rule) => rule.policy.name === name || enforced.includes(rule))),
        decide(enforced.filter((rule) => rule.policy.name !== name)),
      ),
    })),
  };
}

function isSame(one: Decision, other: Decision): boolean {
  const { isAllowed, headers, assertedHeaders } = one;
  return (
    isAllowed === other.isAllowed &&
    headers.size === other.headers.size &&
    [...headers].every(([name, value]) => other.headers.get(name) === value) &&
    assertedHeaders.join() === other.assertedHeaders.join()
  );
}
