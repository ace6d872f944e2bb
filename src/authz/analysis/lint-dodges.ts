import { type AnalysedRule, analyseRules, usesTokens } from './analysed-rules.ts';
import { Budget, TooComplex } from './budget.ts';
import type { Way } from './build-branches.ts';
import { explore } from './explore.ts';
import { finding, type LintFinding } from './lint-finding.ts';
import { mayMeet } from './may-meet.ts';
import { branchesInRegion, keepAllowed, rulesInRegion } from './region.ts';
import type { UnitedService } from './united-services.ts';
import { witnessOf } from './witness.ts';

/** For each value that can be left out. */
const MAX_STEPS = 2_000_000;

/** A deny that asks for a header, a claim or a key of the query, where the caller is let in without it. */
export function lintDodges(services: readonly UnitedService[]): LintFinding[] {
  const found = new Map<string, LintFinding>();
  for (const united of services) {
    const rules = analyseRules(united.policies);
    for (const { policy, rule, isAllow, ways } of rules) {
      if (isAllow) continue;
      const { name } = policy.metadata;
      const at = policy.rules.indexOf(rule);
      const keys = new Set(ways.flatMap(({ lists }) => [...lists.keys()]));
      for (const key of keys) {
        const text = findDodge(united, rules, ways, key);
        const message = `whoever leaves out the ${key.replace('query', 'query key')} is let in: ${text ?? ''}`;
        const fix = 'allow only with the value instead of denying others';
        if (text !== undefined)
          found.set(
            `${name} ${at} ${key}`,
            finding('dodgeable-deny', name, ['rules', at], message, fix),
          );
      }
      if (ways.every(({ needsHttp }) => needsHttp) && isOpenWithoutHttp(rules, ways))
        found.set(
          `${name} ${at}`,
          finding(
            'deny-not-for-connections',
            name,
            ['rules', at],
            'is about HTTP, and these callers may have connections without HTTP, to which it does not apply',
            'add a deny by port or address, or allow with a path',
          ),
        );
    }
  }
  return [...found.values()];
}

function isOpenWithoutHttp(rules: readonly AnalysedRule[], denied: readonly Way[]): boolean {
  return rules.some(
    ({ isAllow, ways }) =>
      isAllow &&
      ways.some(
        ({ needsHttp, caller, ports }) =>
          !needsHttp &&
          denied.some((one) =>
            mayMeet(
              { ...one, methods: undefined, paths: undefined },
              { ...one, methods: undefined, paths: undefined, caller, ports },
            ),
          ),
      ),
  );
}

function findDodge(
  { service, allowMatrixParameters }: UnitedService,
  all: readonly AnalysedRule[],
  denied: readonly Way[],
  key: string,
): string | undefined {
  const region = denied
    .filter(({ lists }) => lists.has(key))
    .map(
      (way): Way => ({
        ...way,
        lists: new Map(
          [...way.lists].map(([name, tests]) => [
            name,
            name === key ? [{ machines: [], needs: 'absent' }] : tests,
          ]),
        ),
      }),
    );
  const rules = rulesInRegion(all, region);
  let found: string | undefined;
  try {
    explore({
      branches: branchesInRegion(rules, region),
      budget: new Budget(MAX_STEPS),
      allowMatrixParameters,
      usesTokens: usesTokens(rules),
      keep: keepAllowed(rules),
      visit: ({ live, draft }) => {
        if (live.some(({ rule }) => rules[rule]?.isAllow === false)) return false;
        found = witnessOf(draft(), service).text;
        return true;
      },
    });
  } catch (error) {
    if (!(error instanceof TooComplex)) throw error;
  }
  return found;
}
