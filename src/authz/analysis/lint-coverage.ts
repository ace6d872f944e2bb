import { canonicalText } from '../canonical-text.ts';
import { compilePlan } from '../compile-plan.ts';
import { decide } from '../decide.ts';
import {
  type AnalysedRule,
  analyseRules,
  branchesOf,
  rulesOf,
  usesTokens,
} from './analysed-rules.ts';
import { Budget, TooComplex } from './budget.ts';
import type { Draft } from './draft.ts';
import { explore } from './explore.ts';
import { finding, type LintCode, type LintFinding } from './lint-finding.ts';
import type { UnitedService } from './united-services.ts';
import { type Witness, witnessOf } from './witness.ts';

/** For each service. */
const MAX_STEPS = 40_000_000;
const MAX_NAMED = 3;
/** So many pairs of an allow and a deny are told. */
const MAX_PAIRS = 50;

/** What is known of a rule, over all services that it is for. */
interface Seen {
  readonly rule: AnalysedRule;
  isReached: boolean;
  /** For an allow: something that nothing denies. */
  isEffective: boolean;
  /** Each set of other rules with its effect that were there, where it had one. */
  readonly company: Map<string, readonly string[]>;
  readonly denies: Set<string>;
}

/** Rules that come to nothing beside the others, and headers that rules contend for. */
export function lintCoverage(services: readonly UnitedService[]): LintFinding[] {
  const linter = new CoverageLinter();
  const findings: LintFinding[] = [];
  for (const united of services)
    try {
      linter.look(united);
    } catch (error) {
      if (!(error instanceof TooComplex)) throw error;
      findings.push(...united.policies.map(({ metadata }) => tooComplex(metadata.name)));
    }
  return findings.length > 0 ? findings : linter.findings();
}

function tooComplex(name: string): LintFinding {
  const message = 'has too many rules that overlap for what they cover to be told';
  return finding(
    'too-complex',
    name,
    [],
    message,
    'divide the service, or have fewer patterns overlap',
  );
}

class CoverageLinter {
  readonly #seen = new Map<string, Seen>();
  readonly #conflicts = new Map<string, LintFinding>();
  readonly #pairs = new Map<string, LintFinding>();

  look(united: UnitedService): void {
    const rules = analyseRules(united.policies);
    for (const rule of rules) this.#seenOf(rule);
    const plan = compilePlan(united.policies, '');
    explore({
      branches: branchesOf(rules),
      budget: new Budget(MAX_STEPS),
      allowMatrixParameters: united.allowMatrixParameters,
      usesTokens: usesTokens(rules),
      visit: ({ live, draft }) => {
        const matched = rulesOf(live, rules);
        const allows = matched.filter(({ isAllow }) => isAllow);
        const denies = matched.filter(({ isAllow }) => !isAllow);
        this.#take(allows, denies, () => witnessOf(draft(), united.service));
        if (denies.length === 0 && allows.some(({ rule }) => rule.map !== undefined))
          this.#lookAtHeaders(
            allows,
            draft,
            united,
            (witness) => decide(plan, witness.request).reason,
          );
        return false;
      },
    });
  }

  findings(): LintFinding[] {
    return [...this.#ruleFindings(), ...this.#conflicts.values(), ...this.#pairs.values()];
  }

  #seenOf(rule: AnalysedRule): Seen {
    const known = this.#seen.get(rule.name);
    if (known !== undefined) return known;
    const made = {
      rule,
      isReached: false,
      isEffective: false,
      company: new Map(),
      denies: new Set<string>(),
    };
    this.#seen.set(rule.name, made);
    return made;
  }

  #take(
    allows: readonly AnalysedRule[],
    denies: readonly AnalysedRule[],
    witness: () => Witness,
  ): void {
    for (const group of [allows, denies])
      for (const rule of group) {
        const seen = this.#seenOf(rule);
        seen.isReached = true;
        if (rule.isAllow && denies.length > 0) {
          for (const { name } of denies.slice(0, MAX_NAMED)) seen.denies.add(name);
          continue;
        }
        seen.isEffective = true;
        const others = group.flatMap(({ name }) => (name === rule.name ? [] : [name]));
        seen.company.set(others.join(' '), others);
      }
    for (const allow of allows) for (const deny of denies) this.#takePair(allow, deny, witness);
  }

  #takePair(allow: AnalysedRule, deny: AnalysedRule, witness: () => Witness): void {
    const key = `${allow.name} ${deny.name}`;
    if (this.#pairs.has(key) || this.#pairs.size >= MAX_PAIRS) return;
    const message = `${deny.name} denies some of it: ${witness().text}`;
    this.#pairs.set(
      key,
      this.#say('allow-meets-deny', allow, message, 'nothing to do if that is meant'),
    );
  }

  #lookAtHeaders(
    allows: readonly AnalysedRule[],
    draft: () => Draft,
    { service }: UnitedService,
    reasonOf: (witness: Witness) => string,
  ): void {
    const [first] = allows;
    const headers = contended(allows);
    const hasCaptures = allows.some(({ rule }) =>
      Object.values(rule.map ?? {}).some(
        (value) => value.kind === 'template' && value.parts.length > 1,
      ),
    );
    if (first === undefined || (headers.length === 0 && !hasCaptures)) return;
    const key = allows.map(({ name }) => name).join(' and ');
    if (this.#conflicts.has(key)) return;
    const witness = witnessOf(withClaims(draft(), allows), service);
    const isConflict = reasonOf(witness) === 'mapping_conflict';
    if (!isConflict && headers.length === 0) return;
    const code = isConflict ? 'mapping-conflict' : 'mapping-conflict-possible';
    const said = headers.length === 0 ? 'one header' : headers.join(', ');
    const message = isConflict
      ? `${key} write different values into ${said}, which denies ${witness.text}`
      : `${key} write ${said} in different ways, as for ${witness.text}`;
    this.#conflicts.set(
      key,
      this.#say(code, first, message, 'have the rules exclude one another, or map alike'),
    );
  }

  /** Of rules that stand in for one another the last are told first, and then count as gone. */
  #ruleFindings(): LintFinding[] {
    const gone = new Set<string>();
    const twins = new Map<string, string>();
    const findings: LintFinding[] = [];
    for (const { rule } of this.#seen.values()) {
      const key = sameText(rule);
      const twin = twins.get(key);
      if (twin === undefined) twins.set(key, rule.name);
      else {
        gone.add(rule.name);
        findings.push(this.#say('duplicate-rule', rule, `says the same as ${twin}`, 'remove it'));
      }
    }
    for (const seen of [...this.#seen.values()].toReversed()) {
      if (gone.has(seen.rule.name)) continue;
      const found = this.#findingOf(seen, gone);
      if (found === undefined) continue;
      if (found.code === 'shadowed-rule') gone.add(seen.rule.name);
      findings.push(found);
    }
    return findings;
  }

  #findingOf(seen: Seen, gone: ReadonlySet<string>): LintFinding | undefined {
    const { rule, isReached, isEffective, company, denies } = seen;
    if (!isReached)
      return this.#say(
        'never-matches',
        rule,
        'matches nothing that can be sent',
        'compare from with except, and the captures',
      );
    if (!isEffective)
      return this.#say(
        'dead-rule',
        rule,
        `allows nothing: ${named([...denies])} denies all of it`,
        'remove it, or narrow the deny',
      );
    if (rule.rule.map !== undefined || rule.rule.log === 'always') return undefined;
    const left = [...company.values()].map((names) => names.filter((name) => !gone.has(name)));
    if (left.some((names) => names.length === 0)) return undefined;
    const others = named([...new Set(left.map(([name = '']) => name))]);
    return this.#say(
      'shadowed-rule',
      rule,
      `changes nothing: ${others} covers all of it`,
      'remove it',
    );
  }

  #say(code: LintCode, { policy, rule }: AnalysedRule, message: string, fix: string): LintFinding {
    const at = policy.rules.findIndex(({ id }) => id === rule.id);
    return finding(code, policy.metadata.name, ['rules', at], message, fix);
  }
}

function named(names: readonly string[]): string {
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : '';
  return `${names.slice(0, MAX_NAMED).join(', ')}${more}`;
}

/** The rule without its name, and for which service. */
function sameText({ policy, rule }: AnalysedRule): string {
  const { apiVersion, kind, service, sets } = policy;
  const alone = {
    apiVersion,
    kind,
    service,
    sets,
    metadata: { name: '' },
    rules: [{ ...rule, id: '' }],
  };
  return canonicalText([alone]);
}

/** Headers that several rules write, not all the same. */
function contended(rules: readonly AnalysedRule[]): string[] {
  const written = new Map<string, Set<string>>();
  for (const { rule, name } of rules)
    for (const [header, value] of Object.entries(rule.map ?? {})) {
      const isOwn = value.kind === 'template' && value.parts.length > 1;
      const texts = written.get(header) ?? new Set();
      written.set(header, texts.add(`${JSON.stringify(value)}${isOwn ? name : ''}`));
    }
  return [...written].flatMap(([header, texts]) => (texts.size > 1 ? [header] : []));
}

/** Claims that are mapped and of which nothing else is said get values, no two the same. */
function withClaims(draft: Draft, rules: readonly AnalysedRule[]): Draft {
  const mapped = rules.flatMap(({ rule }) => Object.values(rule.map ?? {}));
  for (const value of mapped)
    if (value.kind === 'claim' && !draft.claims.has(value.claim))
      draft.claims.set(value.claim, `a ${value.claim}`);
  return draft;
}
