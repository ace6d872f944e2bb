import type { AccessRequest } from './access-request.ts';
import { decide } from './decide.ts';
import type { Decision, ShadowDecision, StagedDecision } from './decision.ts';
import { findServices } from './find-rules.ts';
import type { Plan } from './plan.ts';
import type { DenyResponse } from './policy.ts';
import { strictest } from './service-terms.ts';

/** A decision and whom it is about. */
export interface CallerDecision {
  readonly decision: Decision;
  /** Whom what is asserted is about; undefined: nobody who is known. */
  readonly callerId: string | undefined;
}

/** What rules come to, by what counts for more where two IDs come to different things. */
const ranks: Partial<Record<Decision['reason'], number>> = {
  denied_by_rule: 3,
  mapping_conflict: 2,
  allowed_by_rule: 1,
  no_rule_matched: 0,
};

/**
 * Decides for a caller that may have two credentials: each rule is matched with the ID of the certificate
 * and with that of the token, and matches by either. So what denies one of them denies both, and what
 * two of them write into one header must agree. Never throws.
 */
export function decideEither(plan: Plan, request: AccessRequest): CallerDecision {
  if (request.tokenCaller === undefined)
    return { decision: decide(plan, request), callerId: idOf(request.caller) };
  const { tokenCaller, ...asked } = request;
  const first = { decision: decide(plan, asked), callerId: idOf(asked.caller) };
  if (!isByRules(first)) return first;
  const credential = 'jwt-svid';
  const decision = decide(plan, { ...asked, caller: tokenCaller, credential });
  const second = { decision, callerId: tokenCaller.toString() };
  if (!isByRules(second)) return second;
  const both = joined(
    first,
    second,
    () => strictest(findServices(plan, asked.service)).denyResponse,
  );
  return { ...both, decision: { ...both.decision, ...tried(first.decision, second.decision) } };
}

/** Otherwise another ID makes no difference. */
function isByRules({ decision: { reason } }: CallerDecision): boolean {
  return ranks[reason] !== undefined;
}

function joined(
  first: CallerDecision,
  second: CallerDecision,
  denyResponse: () => DenyResponse | undefined,
): CallerDecision {
  const [strong, weak] = rankOf(first) < rankOf(second) ? [second, first] : [first, second];
  if (rankOf(strong) !== rankOf(weak) && (rankOf(weak) === 0 || rankOf(strong) === 3))
    return strong;
  const decided = rankOf(strong) === 1 ? united(first, second, denyResponse) : strong;
  const { policy, ruleId } = earlier(first.decision, second.decision);
  return { ...decided, decision: { ...decided.decision, policy, ruleId } };
}

function rankOf({ decision: { reason } }: CallerDecision): number {
  return ranks[reason] ?? 0;
}

/** Of the rules that decided, the first by the names of policy and rule. */
function earlier(one: Decision, other: Decision): Decision {
  const { policy = '', ruleId = '' } = one;
  const { policy: otherPolicy = '', ruleId: otherRule = '' } = other;
  const isFirst = policy === otherPolicy ? ruleId <= otherRule : policy < otherPolicy;
  return isFirst ? one : other;
}

/** Of two that allow. */
function united(
  first: CallerDecision,
  second: CallerDecision,
  denyResponse: () => DenyResponse | undefined,
): CallerDecision {
  const [one, other] = [first.decision, second.decision];
  const asserted = [...new Set([...one.assertedHeaders, ...other.assertedHeaders])].sort();
  const headers = new Map([...one.headers, ...other.headers]);
  const isAssertedTwice = one.assertedHeaders.length > 0 && other.assertedHeaders.length > 0;
  const isConflict =
    [...one.headers].some(([name, value]) => headers.get(name) !== value) ||
    asserted.some((name) => headers.has(name)) ||
    (isAssertedTwice && first.callerId !== second.callerId);
  if (isConflict) return { ...first, decision: conflictOf(one, denyResponse()) };
  const removed = new Set([...one.removedHeaders, ...other.removedHeaders]);
  for (const name of [...headers.keys(), ...asserted]) removed.delete(name);
  return {
    callerId: one.assertedHeaders.length > 0 ? first.callerId : second.callerId,
    decision: { ...one, headers, assertedHeaders: asserted, removedHeaders: [...removed].sort() },
  };
}

/** What is told of rules that matched by either ID. */
function tried(one: Decision, other: Decision): Partial<Decision> {
  const { log = other.log } = one;
  const isTried = one.shadow !== undefined || other.shadow !== undefined;
  return {
    observed: [...new Set([...one.observed, ...other.observed])],
    ...(log && { log }),
    ...(isTried && { shadow: eitherShadow(one, other) }),
    staged: eitherStaged(one.staged, other.staged),
  };
}

/** A rule that denies one of them denies both. */
function eitherShadow(...decisions: readonly [Decision, Decision]): ShadowDecision {
  const shadows = decisions.map(
    ({ shadow, isAllowed, ruleId }): ShadowDecision => shadow ?? { isAllowed, ruleId },
  );
  return (
    shadows.find(({ isAllowed, ruleId }) => !isAllowed && ruleId !== undefined) ??
    shadows.find(({ isAllowed }) => isAllowed) ?? { isAllowed: false, ruleId: undefined }
  );
}

/** Each policy once: it changes the decision if it does for one of them. */
function eitherStaged(
  one: readonly StagedDecision[] = [],
  other: readonly StagedDecision[] = [],
): readonly StagedDecision[] | undefined {
  const all = new Map<string, StagedDecision>();
  for (const staged of [...one, ...other]) {
    const isChanged = staged.isChanged || all.get(staged.policy)?.isChanged === true;
    all.set(staged.policy, { ...staged, isChanged });
  }
  return all.size === 0 ? undefined : [...all.values()];
}

function conflictOf(decision: Decision, deniedResponse: DenyResponse | undefined): Decision {
  return {
    ...decision,
    isAllowed: false,
    reason: 'mapping_conflict',
    headers: new Map(),
    removedHeaders: [],
    assertedHeaders: [],
    deniedResponse,
  };
}

function idOf(caller: AccessRequest['caller']): string | undefined {
  return typeof caller === 'string' ? undefined : caller.toString();
}
