import { Pattern } from '../pattern.ts';
import type { Operation, Policy, PolicyRule } from '../policy.ts';
import { type AnalysedRule, analyseRules, rulesOf, usesTokens } from './analysed-rules.ts';
import { Budget } from './budget.ts';
import { type Way, wayOf } from './build-branches.ts';
import { explore } from './explore.ts';
import { branchesInRegion, keepAllowed, rulesInRegion } from './region.ts';
import { type UnitedService, uniteServices } from './united-services.ts';
import { type Witness, witnessOf } from './witness.ts';

/** What one rule lets one ask for, or lets somebody ask. */
export interface Access {
  readonly service: UnitedService['service'];
  /** As policy/rule. */
  readonly rule: string;
  readonly from: string;
  readonly operations: readonly string[];
  /** It holds under conditions. */
  readonly isConditional: boolean;
  /** Rules that deny a part of it. */
  readonly except: readonly string[];
  readonly witness: Witness;
}

const MAX_STEPS = 50_000_000;

/** Who may do this: by each rule that lets somebody. @throws TooComplex */
export function whoCan(policies: readonly Policy[], operation: Operation): Access[] {
  return findAccess(policies, [wayOf(operation, undefined, true)]);
}

/** What the caller may do: by each rule that lets it do something. @throws TooComplex */
export function whatCan(policies: readonly Policy[], callerId: Pattern): Access[] {
  const credentials = ['x509-svid', 'jwt-svid'] as const;
  const caller = { ids: [callerId], except: [], credentials, isOutside: false };
  return findAccess(policies, [{ ...wayOf({}, undefined, true), caller }]);
}

function findAccess(policies: readonly Policy[], region: readonly Way[]): Access[] {
  const budget = new Budget(MAX_STEPS);
  return uniteServices(policies, budget).flatMap((united) => accessTo(united, region, budget));
}

function accessTo(united: UnitedService, region: readonly Way[], budget: Budget): Access[] {
  const policies = united.policies.filter(({ mode }) => mode?.stage !== 'observe');
  const rules = rulesInRegion(analyseRules(policies), region);
  const found = new Map<AnalysedRule, { readonly witness: Witness }>();
  const denied = new Map<AnalysedRule, Set<string>>();
  explore({
    branches: branchesInRegion(rules, region),
    budget,
    allowMatrixParameters: united.allowMatrixParameters,
    usesTokens: usesTokens(rules),
    keep: keepAllowed(rules),
    visit: ({ live, draft }) => {
      const matched = rulesOf(live, rules);
      const denies = matched.filter(({ isAllow }) => !isAllow);
      for (const rule of matched) {
        if (!rule.isAllow) continue;
        if (denies.length === 0 && !found.has(rule))
          found.set(rule, { witness: witnessOf(draft(), united.service) });
        const names = denied.get(rule) ?? new Set();
        for (const { name } of denies) names.add(name);
        denied.set(rule, names);
      }
      return false;
    },
  });
  return [...found].map(([rule, { witness }]) => ({
    service: united.service,
    rule: rule.name,
    from: fromText(rule.rule),
    operations: (rule.rule.allow ?? []).map(operationText),
    isConditional: rule.rule.when !== undefined,
    except: [...(denied.get(rule) ?? [])].sort(),
    witness,
  }));
}

function fromText({ from }: PolicyRule): string {
  if (typeof from === 'string') return from;
  const list = (ids: typeof from.ids): string =>
    ids.map((id) => (id instanceof Pattern ? id.text : `$${id.set}`)).join(', ');
  return from.except === undefined
    ? list(from.ids)
    : `${list(from.ids)} except ${list(from.except)}`;
}

/** As in `GET /x`, with what else it asks for. */
function operationText({ methods, paths, hosts, ports, query }: Operation): string {
  const texts = (patterns: readonly Pattern[]): string =>
    patterns.map(({ text }) => text).join('|');
  return [
    methods?.join('|') ?? 'ANY',
    paths === undefined ? '' : texts(paths),
    hosts === undefined ? '' : `host ${texts(hosts)}`,
    ports === undefined ? '' : `port ${ports.join('|')}`,
    query === undefined ? '' : `query ${Object.keys(query).join(', ')}`,
  ]
    .filter((part) => part !== '')
    .join(' ');
}
