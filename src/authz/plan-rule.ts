import { buildIdList, type IdList } from './id-list.ts';
import { Pattern } from './pattern.ts';
import type { PlanFrom, PlanPolicy, PlanRule } from './plan.ts';
import type { FromIds, IdOrSet, Operation, PolicyRule } from './policy.ts';

/** So many IDs are compared one by one. */
const FEW = 4;

/** A rule in the form that is matched. */
export function planRuleOf(rule: PolicyRule, policy: PlanPolicy): PlanRule {
  const { id, allow, deny, when, map, log } = rule;
  const from = typeof rule.from === 'string' ? rule.from : fromOf(rule.from, policy);
  const operations = allow ?? deny ?? [];
  return {
    id,
    policy,
    isAllow: allow !== undefined,
    from,
    operations,
    when,
    map: map && Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)),
    hasCaptures: fromHasCaptures(from) || operations.some(operationHasCaptures),
    credentials: typeof rule.from === 'string' ? undefined : rule.from.credentials,
    isLogged: log === 'always',
  };
}

function fromOf({ ids, except = [] }: FromIds, policy: PlanPolicy): PlanFrom {
  if (except.length === 0 && ids.length <= FEW && areAllPatterns(ids)) return ids;
  return { lists: listsOf(ids, policy), except: listsOf(except, policy) };
}

function areAllPatterns(ids: readonly IdOrSet[]): ids is readonly Pattern[] {
  return ids.every((id) => id instanceof Pattern);
}

/** One for each set, and one for all else. */
function listsOf(ids: readonly IdOrSet[], { sets }: PlanPolicy): readonly IdList[] {
  const own = ids.filter((id) => id instanceof Pattern);
  const named = ids.flatMap((id) => (id instanceof Pattern ? [] : (sets.get(id.set) ?? [])));
  return own.length === 0 ? named : [buildIdList(own), ...named];
}

function fromHasCaptures(from: PlanFrom): boolean {
  if (typeof from === 'string') return false;
  return 'except' in from ? from.lists.some((list) => list.hasCaptures) : from.some(hasCaptures);
}

function hasCaptures(pattern: Pattern): boolean {
  return pattern.captureNames.length > 0;
}

function operationHasCaptures({ paths, hosts }: Operation): boolean {
  return paths?.some(hasCaptures) === true || hosts?.some(hasCaptures) === true;
}
