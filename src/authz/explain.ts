import { type AccessRequest, type CanonicalRequest, canonicalRequest } from './access-request.ts';
import { decide, findServices } from './decide.ts';
import type { Decision } from './decision.ts';
import { failingField, type RuleField, ruleFields } from './match-rule.ts';
import type { Pattern } from './pattern.ts';
import type { Plan, PlanRule } from './plan.ts';
import type { Operation } from './policy.ts';

const MAX_NEAREST = 3;
const MAX_SHOWN = 5;

/** A rule that could have allowed, and the first of its fields that did not match. */
export interface NearRule {
  readonly policy: string;
  readonly ruleId: string;
  readonly field: RuleField;
  /** What came and what the rule wants. */
  readonly message: string;
}

export interface Explanation {
  readonly decision: Decision;
  /** Of a deny for want of a rule: those that came nearest. */
  readonly nearest: readonly NearRule[];
}

/** Decides, and looks at every rule of the service to tell why. Takes as long as there are rules. */
export function explain(plan: Plan, request: AccessRequest): Explanation {
  const decision = decide(plan, request);
  const { reason } = decision;
  if (reason !== 'no_rule_matched' && reason !== 'unauthenticated')
    return { decision, nearest: [] };
  const canonical = canonicalRequest(request);
  const services = findServices(plan, request.service);
  const near = plan.rules
    .filter(({ isAllow, policy }) => isAllow && services.includes(policy.service))
    .flatMap((rule): NearRule[] => {
      const field = failingField(rule, canonical);
      if (field === undefined) return [];
      const message = messageFor(rule, field, canonical);
      return [{ policy: rule.policy.name, ruleId: rule.id, field, message }];
    })
    .sort((a, b) => ruleFields.indexOf(b.field) - ruleFields.indexOf(a.field));
  return { decision, nearest: near.slice(0, MAX_NEAREST) };
}

function messageFor(rule: PlanRule, field: RuleField, request: CanonicalRequest): string {
  const { callerId, http, destinationPort } = request;
  const wanted = (pick: (operation: Operation) => readonly unknown[] | undefined): string =>
    list(rule.operations.flatMap((operation) => pick(operation) ?? []));
  const texts = (patterns: readonly Pattern[] | undefined): readonly string[] | undefined =>
    patterns?.map(({ text }) => text);
  switch (field) {
    case 'from':
      return `the caller ${callerId ?? '(none)'} is not one of ${fromText(rule)}`;
    case 'method':
      return `the method ${http?.method ?? '(no HTTP)'} is not in ${wanted(({ methods }) => methods)}`;
    case 'path':
      return `the path ${http?.path ?? '(no HTTP)'} matches none of ${wanted(({ paths }) => texts(paths))}`;
    case 'host':
      return `the host ${http?.host ?? '(none)'} matches none of ${wanted(({ hosts }) => texts(hosts))}`;
    case 'port':
      return `the port ${destinationPort ?? '(not known)'} is not in ${wanted(({ ports }) => ports)}`;
    case 'grpc':
      return 'the content type is not application/grpc';
    case 'captures':
      return 'the captures of caller and request differ';
    default:
      return `${field} is missing or does not match`;
  }
}

function fromText({ from }: PlanRule): string {
  if (typeof from === 'string') return from;
  if (!('except' in from)) return list(from.map(({ text }) => text));
  const ids = [...from.exact, ...from.patterns.map(({ text }) => text)];
  const except = from.except.map(({ text }) => text);
  return except.length === 0 ? list(ids) : `${list(ids)} except ${list(except)}`;
}

function list(values: readonly unknown[]): string {
  const shown = [...new Set(values)];
  const more = shown.length > MAX_SHOWN ? ` and ${shown.length - MAX_SHOWN} more` : '';
  return `[${shown.slice(0, MAX_SHOWN).join(', ')}]${more}`;
}
