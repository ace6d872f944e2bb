import { expandIds } from '../find-contradictions.ts';
import type { Policy, PolicyAssertion } from '../policy.ts';
import { type AnalysedRule, analyseRules, rulesOf, usesTokens } from './analysed-rules.ts';
import { Budget, TooComplex } from './budget.ts';
import { type Way, wayOf } from './build-branches.ts';
import { explore } from './explore.ts';
import { isCovered } from './may-meet.ts';
import { branchesInRegion, keepAllowed, rulesInRegion } from './region.ts';
import { type UnitedService, uniteServices } from './united-services.ts';
import { type Witness, witnessOf } from './witness.ts';

/** An assertion that does not hold, or cannot be shown to. */
export interface AssertionComplaint {
  readonly policy: string;
  /** Within the policy. */
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** A request that is allowed, and by which rule; undefined: it is not known whether there is one. */
  readonly witness?: Witness | undefined;
  readonly rule?: string | undefined;
}

/** For all assertions of a set of policies together; beyond it they count as not proven. */
const MAX_STEPS = 10_000_000;
/** So many denies are compared with each allow. */
const MAX_BROAD = 16;

/**
 * Decides the assertions of policies, each over all policies of its service. They are to hold at every
 * stage: an allow counts even if it is only observed, a deny if it is enforced, or is of the policy of the allow.
 */
export function checkAssertions(
  policies: readonly Policy[],
  maxSteps: number = MAX_STEPS,
): AssertionComplaint[] {
  if (!policies.some((policy) => policy.assert !== undefined)) return [];
  const checker = new Checker(new Budget(maxSteps));
  return checker.check(policies);
}

class Checker {
  readonly #budget: Budget;
  readonly #found = new Map<string, AssertionComplaint>();

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  check(policies: readonly Policy[]): AssertionComplaint[] {
    for (const united of this.#services(policies)) {
      const asserting = united.policies.filter((policy) => policy.assert !== undefined);
      if (asserting.length === 0) continue;
      const rules = analyseRules(united.policies);
      for (const policy of asserting)
        for (const [at, assertion] of (policy.assert ?? []).entries())
          this.#checkOne(united, rules, policy, assertion, at);
    }
    return [...this.#found.values()];
  }

  #services(policies: readonly Policy[]): UnitedService[] {
    try {
      return uniteServices(policies, this.#budget);
    } catch (error) {
      if (!(error instanceof TooComplex)) throw error;
      for (const policy of policies)
        for (const [at, { kind }] of (policy.assert ?? []).entries())
          this.#complain(policy, at, { message: tooComplex(kind) });
      return [];
    }
  }

  #checkOne(
    united: UnitedService,
    rules: readonly AnalysedRule[],
    policy: Policy,
    assertion: PolicyAssertion,
    at: number,
  ): void {
    if (this.#found.has(keyOf(policy, at))) return;
    try {
      const found = findViolation(united, rules, regionOf(assertion, policy), this.#budget);
      if (found === undefined) return;
      const message = `${assertion.kind}: does not hold: ${found.witness.text} is allowed by ${found.rule}`;
      this.#complain(policy, at, { ...found, message });
    } catch (error) {
      if (!(error instanceof TooComplex)) throw error;
      this.#complain(policy, at, { message: tooComplex(assertion.kind) });
    }
  }

  #complain(
    policy: Policy,
    at: number,
    complaint: Omit<AssertionComplaint, 'policy' | 'path'>,
  ): void {
    this.#found.set(keyOf(policy, at), {
      policy: policy.metadata.name,
      path: ['assert', at],
      ...complaint,
    });
  }
}

function keyOf({ metadata }: Policy, at: number): string {
  return `${metadata.name} ${at}`;
}

function tooComplex(kind: string): string {
  return `${kind}: is too complex to prove, which counts as not holding; narrow its from and to, or have fewer patterns overlap`;
}

/** The requests that nobody may be allowed. */
function regionOf({ kind, from, to }: PolicyAssertion, { sets }: Policy): Way[] {
  const caller = {
    ids: expandIds(from, sets),
    except: [],
    credentials: ['x509-svid', 'jwt-svid'] as const,
    isOutside: kind === 'only',
  };
  return to.map((operation) => ({ ...wayOf(operation, undefined, false), caller }));
}

function findViolation(
  united: UnitedService,
  rules: readonly AnalysedRule[],
  region: readonly Way[],
  budget: Budget,
): { readonly witness: Witness; readonly rule: string } | undefined {
  budget.spend(rules.length);
  const near = rulesThatMatter(rules, region);
  if (!near.some(({ isAllow }) => isAllow)) return undefined;
  let found: { readonly witness: Witness; readonly rule: string } | undefined;
  explore({
    branches: branchesInRegion(near, region),
    budget,
    allowMatrixParameters: united.allowMatrixParameters,
    usesTokens: usesTokens(near),
    keep: keepAllowed(near),
    visit: ({ live, draft }) => {
      const matched = rulesOf(live, near);
      const allowing = matched.find((rule) => rule.isAllow && !isDenied(rule, matched));
      if (allowing === undefined) return false;
      found = { witness: witnessOf(draft(), united.service), rule: allowing.name };
      return true;
    },
  });
  return found;
}

/** Without the ways to match an allow that cannot be of the region, or that one broad deny covers at a glance. */
function rulesThatMatter(
  rules: readonly AnalysedRule[],
  region: readonly Way[],
): readonly AnalysedRule[] {
  const near = rulesInRegion(rules, region);
  const denies = near
    .filter(({ isAllow, ways }) => !isAllow && ways.some(isBroad))
    .slice(0, MAX_BROAD);
  return near.flatMap((rule) => {
    if (!rule.isAllow) return [rule];
    const counted = denies.filter((deny) => isCounted(deny, rule)).flatMap(({ ways }) => ways);
    const ways = rule.ways.filter((way) => !counted.some((deny) => isCovered(way, deny)));
    return ways.length === 0 ? [] : [{ ...rule, ways }];
  });
}

function isBroad({ caller }: Way): boolean {
  return caller?.ids?.every(({ isExact }) => isExact) !== true;
}

/** The deny is enforced whenever the allow is. */
function isCounted(deny: AnalysedRule, allow: AnalysedRule): boolean {
  return deny.policy === allow.policy || (deny.policy.mode?.stage ?? 'enforce') === 'enforce';
}

function isDenied(allow: AnalysedRule, matched: readonly AnalysedRule[]): boolean {
  return matched.some((one) => !one.isAllow && isCounted(one, allow));
}
