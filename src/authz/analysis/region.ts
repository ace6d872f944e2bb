import { type AnalysedRule, branchesOf } from './analysed-rules.ts';
import type { Branch } from './branch.ts';
import type { Way } from './build-branches.ts';
import { mayMeet } from './may-meet.ts';

/** In the place of a rule's number: the requests that are looked at. */
const REGION = -1;

/** The rules with those of their ways that requests which are looked at may match. */
export function rulesInRegion(
  rules: readonly AnalysedRule[],
  region: readonly Way[],
): AnalysedRule[] {
  return rules.flatMap((rule) => {
    const ways = rule.ways.filter((way) => region.some((one) => mayMeet(way, one)));
    return ways.length === 0 ? [] : [{ ...rule, ways }];
  });
}

/** The branches of the rules and, behind them, those of the requests that are looked at. */
export function branchesInRegion(
  rules: readonly AnalysedRule[],
  region: readonly Way[],
): readonly Branch[] {
  const ofRules = branchesOf(rules);
  const ofRegion = region.map(
    (way, at): Branch => ({
      ...way,
      number: ofRules.length + at,
      rule: REGION,
      percent: undefined,
    }),
  );
  return [...ofRules, ...ofRegion];
}

/** For `explore`: requests of the region that an allow matches. */
export function keepAllowed(rules: readonly AnalysedRule[]): (live: readonly Branch[]) => boolean {
  return (live) =>
    live.some(({ rule }) => rule === REGION) &&
    live.some(({ rule }) => rules[rule]?.isAllow === true);
}
