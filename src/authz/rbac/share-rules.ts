import { type Way, waysOf } from '../analysis/build-branches.ts';
import { mayMeet } from '../analysis/may-meet.ts';
import type { RbacOptions, RuleShare } from './rbac-options.ts';
import { type NamedRule, needsHttp, type RuleClauses } from './rule-clauses.ts';

/** A rule and what of it Envoy can decide. */
export interface SharedRule {
  readonly named: NamedRule;
  readonly clauses: RuleClauses;
}

/** So many pairs of patterns are held against each other; of the rest it is not told which deny is why. */
const MAX_PAIRS = 3_000_000;

/** Who decides by each rule. `blocked`: why Envoy allows nothing. */
export function shareRules(
  rules: readonly SharedRule[],
  blocked: string | undefined,
  target: RbacOptions['target'],
): RuleShare[] {
  const masks = rules.filter(
    ({ named, clauses }) => named.rule.deny !== undefined && clauses.whys.size > 0,
  );
  const search = new MaskSearch(masks.map(({ named }) => waysFor(named)));
  return rules.map(({ named, clauses }) => {
    const isAllow = named.rule.allow !== undefined;
    const share = { policy: named.policy.metadata.name, rule: named.rule.id } as const;
    const effect = isAllow ? 'allow' : 'deny';
    const idle = clauses.whys.size > 0 ? undefined : whyIdle(named, target);
    if (idle !== undefined) return { ...share, effect, decidedBy: 'envoy', why: idle };
    if (!isAllow) return { ...share, effect: 'deny', ...decidedBy(clauses, undefined) };
    if (blocked !== undefined)
      return { ...share, effect: 'allow', decidedBy: 'check', why: blocked };
    const mask = clauses.whys.size > 0 ? undefined : search.maskOf(named);
    return { ...share, effect: 'allow', ...decidedBy(clauses, mask) };
  });
}

/** Why nothing is decided by a rule, whoever is asked. */
function whyIdle({ policy, rule }: NamedRule, target: RbacOptions['target']): string | undefined {
  if (target === 'network' && (rule.allow ?? rule.deny ?? []).every((one) => needsHttp(one, rule)))
    return 'asks for HTTP, which no connection matches';
  return policy.mode?.stage === 'observe'
    ? 'is observed, and decides in the draft alone'
    : undefined;
}

interface Mask {
  readonly name: string;
  readonly ways: readonly Way[];
}

function waysFor({ policy, rule }: NamedRule): Mask {
  return { name: `${policy.metadata.name}/${rule.id}`, ways: waysOf(rule, policy.sets) };
}

/** Finds the denies that Check decides and that may take a part of an allow. */
class MaskSearch {
  readonly #denies: readonly Mask[];
  #pairs = 0;

  constructor(denies: readonly Mask[]) {
    this.#denies = denies;
  }

  maskOf(allow: NamedRule): string | undefined {
    if (this.#denies.length === 0) return undefined;
    if (this.#pairs > MAX_PAIRS) return 'there are denies that Check decides';
    const { ways } = waysFor(allow);
    const deny = this.#denies.find((one) =>
      one.ways.some((other) => ways.some((way) => this.#meet(way, other))),
    );
    return deny && `what the deny ${deny.name} may take of it is decided by Check`;
  }

  #meet(way: Way, other: Way): boolean {
    this.#pairs += 1 + countOf(way.caller?.ids) * countOf(other.caller?.ids);
    this.#pairs += countOf(way.paths) * countOf(other.paths);
    return mayMeet(way, other);
  }
}

function countOf(patterns: readonly unknown[] | undefined): number {
  return patterns?.length ?? 0;
}

function decidedBy(
  { sure, whys }: RuleClauses,
  mask: string | undefined,
): Pick<RuleShare, 'decidedBy' | 'why'> {
  const all = [...whys, ...(mask === undefined ? [] : [mask])];
  if (all.length === 0) return { decidedBy: 'envoy', why: undefined };
  return { decidedBy: sure.length === 0 ? 'check' : 'both', why: all.join('; ') };
}
