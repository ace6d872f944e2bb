import { type AnalysedRule, branchesOf } from './analysed-rules.ts';
import type { Branch } from './branch.ts';
import type { Way } from './build-branches.ts';

/** In the place of a rule's number: the requests that are looked at. */
const REGION = -1;

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
