import { compilePlan } from '../compile-plan.ts';
import { decide } from '../decide.ts';
import type { Decision } from '../decision.ts';
import { Pattern } from '../pattern.ts';
import type { Plan } from '../plan.ts';
import type { Policy } from '../policy.ts';
import { joinTerms } from '../service-terms.ts';
import {
  type AnalysedRule,
  analyseRules,
  branchesOf,
  rulesOf,
  usesTokens,
} from './analysed-rules.ts';
import { Budget } from './budget.ts';
import { explore, type RequestClass } from './explore.ts';
import { mayMeet } from './may-meet.ts';
import { type UnitedService, uniteServices } from './united-services.ts';
import { type Witness, type WitnessTest, witnessOf } from './witness.ts';

export type ChangeKind = 'widened' | 'narrowed' | 'remapped';

/** Requests that are decided otherwise than before, by the same rules before and the same after. */
export interface PolicyChange {
  readonly kind: ChangeKind;
  readonly service: UnitedService['service'];
  /** The rules that decided, as policy/rule; none: nothing matched. */
  readonly before: readonly string[];
  readonly after: readonly string[];
  /** Classes of requests. */
  readonly classes: number;
  readonly witness: Witness;
  /** The entry of `tests` that the new policies pass. */
  readonly test: WitnessTest;
}

/** What policies say beside rules. */
export interface SettingChange {
  readonly policy: string;
  readonly setting: 'request' | 'response';
  readonly before: string;
  readonly after: string;
}

/** What changed for all requests of a service, as its policies together have it. */
export interface TermChange {
  readonly kind: 'widened' | 'narrowed';
  readonly service: UnitedService['service'];
  readonly what: string;
}

export interface PolicyDiff {
  readonly changes: readonly PolicyChange[];
  readonly settings: readonly SettingChange[];
  readonly terms: readonly TermChange[];
}

const MAX_STEPS = 100_000_000;
const order: readonly ChangeKind[] = ['widened', 'narrowed', 'remapped'];

/**
 * Every decision that differs between two sets of policies, as they are enforced: rules that are only
 * observed count for nothing, those of a canary for its share of callers. The policies of a set have distinct names.
 * @throws TooComplex
 */
export function diffPolicies(before: readonly Policy[], after: readonly Policy[]): PolicyDiff {
  const budget = new Budget(MAX_STEPS);
  const isOld = new Set(before);
  // A policy object that is in both sets would be of one alone.
  const fresh = after.map((policy) => ({ ...policy }));
  const changes: PolicyChange[] = [];
  const terms: TermChange[] = [];
  for (const united of uniteServices([...before, ...fresh], budget)) {
    const [old = [], young = []] = [true, false].map((side) =>
      united.policies.filter((policy) => isOld.has(policy) === side),
    );
    changes.push(...new ServiceDiff(united, old, young, budget).find());
    terms.push(...termChanges(united, old, young));
  }
  changes.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  return { changes, settings: settingChanges(before, after), terms };
}

/** Of a service that had policies, and has. */
function termChanges(
  { service }: UnitedService,
  before: readonly Policy[],
  after: readonly Policy[],
): TermChange[] {
  if (before.length === 0 || after.length === 0) return [];
  const [was, is] = [joinTerms(before), joinTerms(after)];
  const [least, most] = [was, is].map(
    ({ maxBodyBytes }) => maxBodyBytes ?? Number.POSITIVE_INFINITY,
  );
  const sizes = [was, is].map(({ maxBodyBytes }) => maxBodyBytes ?? 'any');
  const changed = (isWider: boolean, what: string): TermChange => ({
    kind: isWider ? 'widened' : 'narrowed',
    service,
    what,
  });
  return [
    ...(was.allowMatrixParameters === is.allowMatrixParameters
      ? []
      : [
          changed(
            is.allowMatrixParameters,
            `paths with ";" are ${is.allowMatrixParameters ? 'taken' : 'refused'}`,
          ),
        ]),
    ...(least === most
      ? []
      : [changed((most ?? 0) > (least ?? 0), `octets of a body: ${sizes.join(' -> ')}`)]),
  ];
}

class ServiceDiff {
  readonly #united: UnitedService;
  readonly #budget: Budget;
  readonly #rules: readonly AnalysedRule[];
  readonly #isOld = new Set<AnalysedRule>();
  readonly #isNew = new Set<AnalysedRule>();
  readonly #plans: readonly [Plan, Plan];
  readonly #found = new Map<string, PolicyChange>();

  constructor(
    united: UnitedService,
    before: readonly Policy[],
    after: readonly Policy[],
    budget: Budget,
  ) {
    this.#united = united;
    this.#budget = budget;
    this.#plans = [compilePlan(before, ''), compilePlan(after, '')];
    const [old, young] = [byText(before), byText(after)];
    const same = [...young].flatMap(([text, rule]) => (old.has(text) ? [rule] : []));
    for (const [text, rule] of old) if (!young.has(text)) this.#isOld.add(rule);
    for (const [text, rule] of young) if (!old.has(text)) this.#isNew.add(rule);
    const changed = [...this.#isOld, ...this.#isNew];
    const ways = changed.flatMap((rule) => rule.ways);
    const near = same.filter((rule) =>
      rule.ways.some((way) => ways.some((one) => mayMeet(way, one))),
    );
    this.#rules = [...changed, ...near].filter(({ policy }) => policy.mode?.stage !== 'observe');
  }

  find(): PolicyChange[] {
    if (this.#isOld.size + this.#isNew.size === 0) return [];
    explore({
      branches: branchesOf(this.#rules, ({ policy: { mode } }) =>
        mode?.stage === 'canary' ? mode.percent : undefined,
      ),
      budget: this.#budget,
      allowMatrixParameters: this.#united.allowMatrixParameters,
      usesTokens: usesTokens(this.#rules),
      keep: (live) => live.some(({ rule }) => this.#isChanged(this.#rules[rule])),
      visit: (found) => {
        this.#look(found);
        return false;
      },
    });
    return [...this.#found.values()];
  }

  #isChanged(rule: AnalysedRule | undefined): boolean {
    return rule !== undefined && (this.#isOld.has(rule) || this.#isNew.has(rule));
  }

  #look({ live, draft }: RequestClass): void {
    const matched = rulesOf(live, this.#rules);
    const before = deciding(matched.filter((rule) => !this.#isNew.has(rule)));
    const after = deciding(matched.filter((rule) => !this.#isOld.has(rule)));
    if (!before.isAllowed && !after.isAllowed) return;
    const witness = witnessOf(withClaims(draft(), matched), this.#united.service);
    const [was, is] = [
      decide(this.#plans[0], witness.request),
      decide(this.#plans[1], witness.request),
    ];
    const kind = kindOf(was, is, before.mapping !== after.mapping);
    if (kind === undefined) return;
    const key = `${kind} ${before.names.join(' ')} > ${after.names.join(' ')}`;
    const known = this.#found.get(key);
    const shortest =
      known !== undefined && known.witness.text.length <= witness.text.length
        ? known.witness
        : witness;
    this.#found.set(key, {
      kind,
      service: this.#united.service,
      before: before.names,
      after: after.names,
      classes: (known?.classes ?? 0) + 1,
      witness: shortest,
      test: shortest === witness ? testOf(witness, is) : (known?.test ?? witness.test),
    });
  }
}

function kindOf(was: Decision, is: Decision, isMappedOtherwise: boolean): ChangeKind | undefined {
  if (was.isAllowed !== is.isAllowed) return is.isAllowed ? 'widened' : 'narrowed';
  return is.isAllowed && isMappedOtherwise ? 'remapped' : undefined;
}

function testOf({ test }: Witness, { isAllowed, ruleId, headers }: Decision): WitnessTest {
  return {
    ...test,
    expect: isAllowed ? 'allow' : 'deny',
    ...(ruleId !== undefined && { rule: ruleId }),
    ...(headers.size > 0 && { map: Object.fromEntries(headers) }),
  };
}

interface Deciding {
  readonly isAllowed: boolean;
  readonly names: readonly string[];
  /** What is written into headers, as a text. */
  readonly mapping: string;
}

function deciding(matched: readonly AnalysedRule[]): Deciding {
  const denies = matched.filter(({ isAllow }) => !isAllow);
  const rules = denies.length > 0 ? denies : matched;
  const isAllowed = denies.length === 0 && rules.length > 0;
  const mapped = isAllowed ? rules.flatMap(mappingOf).sort() : [];
  return {
    isAllowed,
    names: rules.map(({ name }) => name).sort(),
    mapping: [...new Set(mapped)].join('\n'),
  };
}

/** Captures mean what the patterns of the rule say. */
function mappingOf({ rule, policy }: AnalysedRule): string[] {
  return Object.entries(rule.map ?? {}).map(([header, value]) => {
    const isOwn = value.kind === 'template' && value.parts.length > 1;
    return `${header} ${JSON.stringify(value)}${isOwn ? textOf(policy, { ...rule, id: '' }) : ''}`;
  });
}

/** Mapped claims of which nothing else is said get values, so that one sees what is written. */
function withClaims<T extends { readonly claims: Map<string, string | readonly string[]> }>(
  draft: T,
  rules: readonly AnalysedRule[],
): T {
  for (const { rule } of rules)
    for (const value of Object.values(rule.map ?? {}))
      if (value.kind === 'claim' && !draft.claims.has(value.claim))
        draft.claims.set(value.claim, value.claim);
  return draft;
}

function byText(policies: readonly Policy[]): Map<string, AnalysedRule> {
  return new Map(
    analyseRules(policies).map((one) => [`${one.name} ${textOf(one.policy, one.rule)}`, one]),
  );
}

/** All that a rule says, sets and stage too. */
function textOf({ sets, mode }: Policy, rule: Policy['rules'][number]): string {
  const all = [mode?.stage, mode?.percent, usedSets(rule, sets), rule];
  return JSON.stringify(all, (_, value: unknown) =>
    value instanceof Pattern ? value.text : value,
  );
}

function usedSets({ from }: Policy['rules'][number], sets: Policy['sets']): Policy['sets'] {
  if (typeof from === 'string' || sets === undefined) return undefined;
  const used = [...from.ids, ...(from.except ?? [])].flatMap((id) => ('set' in id ? [id.set] : []));
  return Object.fromEntries(Object.entries(sets).filter(([name]) => used.includes(name)));
}

function settingChanges(before: readonly Policy[], after: readonly Policy[]): SettingChange[] {
  const [old, young] = [before, after].map(
    (policies) => new Map(policies.map((policy) => [policy.metadata.name, policy])),
  );
  const names = new Set([...before, ...after].map(({ metadata }) => metadata.name));
  return [...names].flatMap((name) => {
    const [was, is] = [old?.get(name), young?.get(name)];
    return (['request', 'response'] as const).flatMap((setting) => {
      const [a, b] = [JSON.stringify(was?.[setting] ?? {}), JSON.stringify(is?.[setting] ?? {})];
      return a === b ? [] : [{ policy: name, setting, before: a, after: b }];
    });
  });
}
