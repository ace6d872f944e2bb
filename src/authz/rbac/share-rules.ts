import { waysOf } from '../analysis/build-branches.ts';
import { mayMeet } from '../analysis/may-meet.ts';
import type { RuleShare } from './rbac-options.ts';
import type { NamedRule, RuleClauses } from './rule-clauses.ts';

/** A rule and what of it Envoy can decide. */
export interface SharedRule {
  readonly named: NamedRule;
  readonly clauses: RuleClauses;
}

/** So many pairs of an allow and a deny are held against each other; of more it is not told which deny is why. */
const MAX_PAIRS = 1_000_000;

/** Who decides by each rule. `blocked`: why Envoy allows nothing. */
export function shareRules(rules: readonly SharedRule[], blocked: string | undefined): RuleShare[] {
  const masks = rules.filter(
    ({ named, clauses }) => named.rule.deny !== undefined && clauses.whys.size > 0,
  );
  const isTooMany = masks.length * rules.length > MAX_PAIRS;
  const denies = isTooMany ? [] : masks.map(({ named }) => waysFor(named));
  return rules.map(({ named, clauses }) => {
    const isAllow = named.rule.allow !== undefined;
    const share = { policy: named.policy.metadata.name, rule: named.rule.id } as const;
    if (!isAllow) return { ...share, effect: 'deny', ...decidedBy(clauses, undefined) };
    if (blocked !== undefined)
      return { ...share, effect: 'allow', decidedBy: 'check', why: blocked };
    const mask = clauses.whys.size > 0 ? undefined : maskOf(named, denies);
    const unknown = isTooMany && masks.length > 0 ? 'denies that Check decides may overlap' : mask;
    return { ...share, effect: 'allow', ...decidedBy(clauses, mask ?? unknown) };
  });
}

interface Mask {
  readonly name: string;
  readonly ways: ReturnType<typeof waysOf>;
}

function waysFor({ policy, rule }: NamedRule): Mask {
  return { name: `${policy.metadata.name}/${rule.id}`, ways: waysOf(rule, policy.sets) };
}

function maskOf(named: NamedRule, denies: readonly Mask[]): string | undefined {
  if (denies.length === 0) return undefined;
  const { ways } = waysFor(named);
  const mask = denies.find((deny) =>
    deny.ways.some((other) => ways.some((way) => mayMeet(way, other))),
  );
  return mask && `what the deny ${mask.name} may take of it is decided by Check`;
}

function decidedBy(
  { sure, whys }: RuleClauses,
  mask: string | undefined,
): Pick<RuleShare, 'decidedBy' | 'why'> {
  const all = [...whys, ...(mask === undefined ? [] : [mask])];
  if (all.length === 0) return { decidedBy: 'envoy', why: undefined };
  return { decidedBy: sure.length === 0 ? 'check' : 'both', why: all.join('; ') };
}
