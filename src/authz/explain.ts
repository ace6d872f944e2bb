import { type AccessRequest, type CanonicalRequest, canonicalRequest } from './access-request.ts';
import { decide } from './decide.ts';
import type { Decision } from './decision.ts';
import { Effort } from './effort.ts';
import { findServices } from './find-rules.ts';
import type { IdList } from './id-list.ts';
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
  const canonical = canonicalRequest(request, new Effort(Number.POSITIVE_INFINITY));
  const services = findServices(plan, request.service);
  const near: { readonly rule: PlanRule; readonly field: RuleField }[] = [];
  for (let number = 0; number < plan.rules.length; number++) {
    const rule = plan.rules.at(number);
    if (!rule.isAllow || !services.includes(rule.policy.service)) continue;
    const field = failingField(rule, canonical);
    if (field === undefined) continue;
    near.push({ rule, field });
    near.sort((a, b) => ruleFields.indexOf(b.field) - ruleFields.indexOf(a.field));
    near.length = Math.min(near.length, MAX_NEAREST);
  }
  const nearest = near.map(({ rule, field }) => ({
    policy: rule.policy.name,
    ruleId: rule.id,
    field,
    message: messageFor(rule, field, canonical),
  }));
  return { decision, nearest };
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
  const [ids, except] = [textsOf(from.lists), textsOf(from.except)];
  return except.length === 0 ? list(ids) : `${list(ids)} except ${list(except)}`;
}

function textsOf(lists: readonly IdList[]): string[] {
  return lists.flatMap(({ exact, patterns }) => [...exact, ...patterns.map(({ text }) => text)]);
}

function list(values: readonly unknown[]): string {
  const shown = [...new Set(values)];
  const more = shown.length > MAX_SHOWN ? ` and ${shown.length - MAX_SHOWN} more` : '';
  return `[${shown.slice(0, MAX_SHOWN).join(', ')}]${more}`;
}
