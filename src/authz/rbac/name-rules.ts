import { sortById, sortPolicies } from '../canonical-text.ts';
import type { Policy } from '../policy.ts';
import { reasons } from '../reasons.ts';
import type { NamedRule } from './rule-clauses.ts';

/** Names of actions that are no rules. */
const taken: ReadonlySet<string> = new Set([...reasons, 'ask_check']);

/** The rules of a service by names of policy and rule, each with its own name: its ID where no other has it. */
export function nameRules(policies: readonly Policy[]): readonly NamedRule[] {
  const counts = new Map<string, number>();
  for (const { rules } of policies)
    for (const { id } of rules) counts.set(id, (counts.get(id) ?? 0) + 1);
  return sortPolicies(policies).flatMap((policy) =>
    sortById(policy.rules).map((rule) => {
      const isOwn = counts.get(rule.id) === 1 && !taken.has(rule.id);
      return { name: isOwn ? rule.id : `${policy.metadata.name}/${rule.id}`, policy, rule };
    }),
  );
}
