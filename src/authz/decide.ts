import { type AccessRequest, type CanonicalRequest, canonicalRequest } from './access-request.ts';
import { isCanonicalHost, isCanonicalPath } from './canonical-request.ts';
import type { Decision } from './decision.ts';
import { type Effort, EffortSpent, steps } from './effort.ts';
import { findRules, findServices } from './find-rules.ts';
import { type MappedHeaders, mapHeaders } from './map-headers.ts';
import type { Plan, PlanRule, PlanService } from './plan.ts';
import type { Reason } from './reasons.ts';
import { isBodyTooLarge, type ServiceTerms, strictest } from './service-terms.ts';
import { isEnforced, isStaged, tryStaged } from './stages.ts';

const noHeaders: ReadonlyMap<string, string> = new Map();

/** Decides by the semantics of docs/reference/policy.md. Never throws: what fails is denied. */
export function decide(plan: Plan, request: AccessRequest): Decision {
  try {
    return decideOrThrow(plan, request);
  } catch {
    return deny(plan, 'internal_error');
  }
}

function decideOrThrow(plan: Plan, request: AccessRequest): Decision {
  const services = findServices(plan, request.service);
  if (services.length === 0) return deny(plan, 'policy_missing');
  const terms = strictest(services);
  const decision = decideWithinEffort(plan, request, services, terms);
  const { denyResponse: deniedResponse } = terms;
  return decision.isAllowed || deniedResponse === undefined
    ? decision
    : { ...decision, deniedResponse };
}

function decideWithinEffort(
  plan: Plan,
  request: AccessRequest,
  services: readonly PlanService[],
  terms: ServiceTerms,
): Decision {
  try {
    return decideForServices(plan, request, services, terms);
  } catch (error) {
    if (error instanceof EffortSpent) return deny(plan, 'too_costly');
    throw error;
  }
}

function decideForServices(
  plan: Plan,
  request: AccessRequest,
  services: readonly PlanService[],
  terms: ServiceTerms,
): Decision {
  const { caller, bodyBytes } = request;
  if (typeof caller === 'string' && caller !== 'unauthenticated') return deny(plan, caller);
  const canonical = canonicalRequest(request);
  const { http, callerId, effort } = canonical;
  if (http !== undefined && !isCanonicalPath(http.path, terms.allowMatrixParameters))
    return deny(plan, 'non_canonical_path');
  if (http?.host !== undefined && !isCanonicalHost(http.host))
    return deny(plan, 'non_canonical_host');
  if (http !== undefined && isBodyTooLarge(terms, bodyBytes)) return deny(plan, 'body_too_large');
  const matched = findRules(plan, services, canonical);
  const decideBy = (rules: readonly PlanRule[]) => decideByRules(plan, rules, services, canonical);
  const enforced = matched.filter(({ policy }) => isEnforced(plan, policy, callerId));
  const decision = decideBy(enforced);
  const log = matched.some(({ isLogged }) => isLogged) ? ({ log: 'always' } as const) : {};
  return matched.some(({ policy }) => isStaged(plan, policy))
    ? { ...decision, ...log, ...tryStaged(plan, matched, enforced, decideBy, effort) }
    : { ...decision, ...log };
}

function decideByRules(
  plan: Plan,
  rules: readonly PlanRule[],
  services: readonly PlanService[],
  request: CanonicalRequest,
): Decision {
  const denying = rules.find(({ isAllow }) => !isAllow);
  if (denying !== undefined) return deny(plan, 'denied_by_rule', denying);
  const [allowing] = rules;
  if (allowing === undefined)
    return deny(plan, request.callerId === undefined ? 'unauthenticated' : 'no_rule_matched');
  const mapped = mapHeaders(rules, request);
  if (mapped === undefined) return deny(plan, 'mapping_conflict', allowing);
  return {
    ...verdict(plan, true, 'allowed_by_rule', allowing),
    headers: mapped.headers,
    assertedHeaders: mapped.asserted,
    removedHeaders: removedHeaders(services, mapped, request.effort),
  };
}

/** Each owned header that is not written, and every spelling that a backend may take for one that is owned. */
function removedHeaders(
  services: readonly PlanService[],
  { headers, asserted }: MappedHeaders,
  effort: Effort,
): string[] {
  const owned = new Set(services.flatMap(({ ownedHeaders }) => ownedHeaders));
  effort.spend(owned.size * steps.ownedHeader);
  return [...owned]
    .flatMap(spellings)
    .filter((one) => !headers.has(one) && !asserted.includes(one))
    .sort();
}

function spellings(name: string): string[] {
  return name
    .split('-')
    .reduce<string[]>(
      (all, part, at) =>
        at === 0 ? [part] : all.flatMap((one) => [`${one}-${part}`, `${one}_${part}`]),
      [],
    );
}

/** The denial of what did not come to be decided. `policyDigest`: of the policies there are, if any. */
export function failedDecision(reason: Reason, policyDigest: string = ''): Decision {
  return {
    isAllowed: false,
    reason,
    policyDigest,
    headers: noHeaders,
    removedHeaders: [],
    observed: [],
    assertedHeaders: [],
  };
}

function deny(plan: Plan, reason: Reason, rule?: PlanRule): Decision {
  return verdict(plan, false, reason, rule);
}

function verdict(plan: Plan, isAllowed: boolean, reason: Reason, rule?: PlanRule): Decision {
  const by = rule === undefined ? {} : { ruleId: rule.id, policy: rule.policy.name };
  return { ...failedDecision(reason, plan.digest), ...by, isAllowed };
}
