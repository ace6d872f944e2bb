import type { AccessRequest, CanonicalRequest } from './access-request.ts';
import { withoutParameters } from './canonical-request.ts';
import { steps } from './effort.ts';
import { failingField } from './match-rule.ts';
import { FIRST_SERVICE, SERVICE_CONTEXTS, SERVICE_IDS } from './pack-plan.ts';
import { Pattern } from './pattern.ts';
import { labelsOf, noSegments, type Segments, segmentsOf, wholeText } from './pattern-shape.ts';
import { collectChildren, collectItems } from './pattern-tree.ts';
import type { Plan, PlanRule, PlanService } from './plan.ts';

/** The services of the plan that are meant, by the SPIFFE ID of the called one or the route's name. */
export function findServices(
  { tree, services }: Plan,
  { spiffeId, contextExtension }: AccessRequest['service'],
): PlanService[] {
  const nodes: number[] = [];
  if (spiffeId !== undefined)
    collectChildren(tree, SERVICE_IDS, segmentsOf(spiffeId), noSegments, nodes);
  if (contextExtension !== undefined)
    collectChildren(tree, SERVICE_CONTEXTS, wholeText(contextExtension), noSegments, nodes);
  const found: number[] = [];
  for (const node of nodes) collectItems(tree, node, found);
  return found
    .map((number) => services.at(number))
    .filter(({ target }) =>
      target instanceof Pattern
        ? spiffeId !== undefined && target.matches(spiffeId)
        : target.contextExtension === contextExtension,
    );
}

/**
 * The rules that match, in the order of the plan. Denies see a path with parameters as it is, and as servers
 * read it that know them: neither is a way around the other.
 */
export function findRules(
  plan: Plan,
  services: readonly PlanService[],
  request: CanonicalRequest,
): readonly PlanRule[] {
  const matched = matchRules(plan, services, request);
  const { http } = request;
  if (http?.path.includes(';') !== true) return matched;
  const plain = { ...request, http: { ...http, path: withoutParameters(http.path) } };
  const denies = matchRules(plan, services, plain).filter(({ isAllow }) => !isAllow);
  return [...new Set([...matched, ...denies])].sort(byName);
}

function byName(one: PlanRule, other: PlanRule): number {
  const [a, b] = [one.policy.name, other.policy.name];
  return a === b ? (one.id < other.id ? -1 : 1) : a < b ? -1 : 1;
}

function matchRules(
  plan: Plan,
  services: readonly PlanService[],
  request: CanonicalRequest,
): PlanRule[] {
  const { callerId, http, effort } = request;
  effort.spend(services.length * steps.service);
  const numbers = collectRules(
    plan,
    services,
    callerId === undefined ? noSegments : segmentsOf(callerId),
    http === undefined ? noSegments : segmentsOf(http.path),
    !plan.usesHosts || http?.host === undefined ? noSegments : labelsOf(http.host),
  );
  const matched: PlanRule[] = [];
  let last = -1;
  for (const number of numbers.sort((a, b) => a - b)) {
    if (number === last) continue;
    last = number;
    effort.spend(services.length + steps.rule + plan.rules.sizeOf(number) * steps.perOctet);
    const rule = plan.rules.at(number);
    if (services.includes(rule.policy.service) && failingField(rule, request) === undefined)
      matched.push(rule);
  }
  return matched;
}

/** The numbers of all rules that may match, some twice. */
function collectRules(
  { tree }: Plan,
  services: readonly PlanService[],
  id: Segments,
  path: Segments,
  host: Segments,
): number[] {
  const byId: number[] = [];
  for (const { number } of services)
    collectChildren(tree, FIRST_SERVICE + number, id, noSegments, byId);
  const leaves: number[] = [];
  for (const node of byId) collectChildren(tree, node, path, host, leaves);
  const rules: number[] = [];
  for (const leaf of leaves) collectItems(tree, leaf, rules);
  return rules;
}
