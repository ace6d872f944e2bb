import type { Decision, ShadowDecision, StagedDecision } from './decision.ts';
import { type Effort, EffortSpent, steps } from './effort.ts';
import { hashOf } from './hash-text.ts';
import type { Plan, PlanPolicy, PlanRule } from './plan.ts';

/** What policies that are tried come to. */
export interface Trial {
  /** Rules that match and take no effect, as policy/rule. */
  readonly observed: readonly string[];
  /** What it would be if all of them were enforced; undefined where it takes too long to tell. */
  readonly shadow?: ShadowDecision;
  readonly staged?: readonly StagedDecision[];
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
  return isInShare(callerId, mode.percent ?? 0);
}

/** Whether a caller is among so many of 100. */
export function isInShare(callerId: string, percent: number): boolean {
  return hashOf(callerId, 0, callerId.length) % 100 < percent;
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
 * Tells which rules take no effect and what they would do: it is decided as if the policies that are tried were
 * enforced, all of them, and each with and without it while the others are as they are. `matched` and of them
 * those `enforced`; there is one of a policy that is tried. What is left of the effort bounds it.
 */
export function tryStaged(
  plan: Pick<Plan, 'promoted'>,
  matched: readonly PlanRule[],
  enforced: readonly PlanRule[],
  decide: Decide,
  effort: Effort,
): Trial {
  const inForce = new Set(enforced);
  const observed = matched
    .filter((rule) => !inForce.has(rule))
    .map(({ id, policy }) => `${policy.name}/${id}`);
  try {
    return { observed, ...tryEach(plan, matched, enforced, decide, effort) };
  } catch (error) {
    // What was decided stands: who is only tried delays and denies nobody.
    if (error instanceof EffortSpent) return { observed };
    throw error;
  }
}

function tryEach(
  plan: Pick<Plan, 'promoted'>,
  matched: readonly PlanRule[],
  enforced: readonly PlanRule[],
  decide: Decide,
  effort: Effort,
): Omit<Trial, 'observed'> {
  const inForce = new Set(enforced);
  const tried = new Map(
    matched.flatMap(({ policy }) => (isStaged(plan, policy) ? [[policy.name, policy]] : [])),
  );
  effort.spend(tried.size * matched.length * steps.pattern);
  const { isAllowed, ruleId } = decide(matched);
  return {
    shadow: { isAllowed, ruleId },
    staged: Array.from(tried.values(), ({ name, version, mode }) => ({
      policy: name,
      version,
      promoteAfter: mode?.promoteAfter,
      isChanged: !isSame(
        decide(matched.filter((rule) => rule.policy.name === name || inForce.has(rule))),
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
