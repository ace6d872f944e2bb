import type { Operation, Policy, PolicyRule } from '../policy.ts';
import { type Callers, callersOf } from './callers-of.ts';
import { type Clause, keyInputs, keyMatchesOf, keyPredicate } from './clause.ts';
import { conditionsOf } from './conditions.ts';
import type { Predicate } from './matcher.ts';
import { anyOf } from './predicates.ts';
import type { RbacOptions } from './rbac-options.ts';
import { splitTied, type TiedChoice } from './split-tied.ts';

/** A rule of the service and the name of its action. */
export interface NamedRule {
  readonly name: string;
  readonly policy: Policy;
  readonly rule: PolicyRule;
}

/** The ways to match a rule in Envoy's terms. */
export interface RuleClauses {
  /** They hold only if it matches. */
  readonly sure: readonly Clause[];
  /** Of a deny for which they are not the same: they hold whenever it matches. */
  readonly maybe: readonly Clause[];
  /** Why they are not the same. */
  readonly whys: ReadonlySet<string>;
}

type Terms = Pick<RbacOptions, 'target' | 'terms'>;

/** `asEnforced`: whatever the stage of the policy. */
export function clausesOf(named: NamedRule, terms: Terms, asEnforced: boolean): RuleClauses {
  return new RuleCompiler(named, terms).compile(asEnforced);
}

class RuleCompiler {
  readonly #named: NamedRule;
  readonly #isAllow: boolean;
  readonly #operations: readonly Operation[];
  readonly #terms: Terms;
  readonly #whys = new Set<string>();

  constructor(named: NamedRule, terms: Terms) {
    const { rule } = named;
    this.#named = named;
    this.#isAllow = rule.allow !== undefined;
    this.#operations = (rule.allow ?? rule.deny ?? []).filter(
      (operation) => terms.target === 'http' || !needsHttp(operation, rule),
    );
    this.#terms = terms;
  }

  compile(asEnforced: boolean): RuleClauses {
    const { rule, policy } = this.#named;
    const { sure, maybe, why } = callersOf(rule, policy, asEnforced);
    if (why !== undefined) this.#whys.add(why);
    return {
      sure: this.#clauses(sure, true),
      maybe: this.#isAllow || this.#whys.size === 0 ? [] : this.#clauses(maybe, false),
      whys: this.#whys,
    };
  }

  #clauses(callers: Callers | undefined, isSure: boolean): Clause[] {
    // An empty list is nobody.
    if (callers === undefined || callers.ids?.length === 0) return [];
    return this.#operations.flatMap((operation) =>
      splitTied(callers.ids, operation).flatMap((choice) => {
        if (choice.isTied) this.#whys.add('captures are held against each other by Check');
        const conditions = this.#conditions(choice, isSure);
        return conditions === undefined || (choice.isTied && isSure)
          ? []
          : [this.#clause(choice, [...exceptions(callers), ...conditions])];
      }),
    );
  }

  /** Undefined where Envoy cannot be sure. */
  #conditions({ operation }: TiedChoice, isSure: boolean): Predicate[] | undefined {
    const { rule } = this.#named;
    const bounds = conditionsOf(operation, rule.when, this.#isAllow, this.#terms.terms.jwt);
    for (const { why } of bounds) if (why !== undefined) this.#whys.add(why);
    if (!isSure) return bounds.flatMap(({ maybe }) => maybe ?? []);
    const sure = bounds.flatMap((bound) => bound.sure ?? []);
    return sure.length === bounds.length ? sure : undefined;
  }

  #clause({ ids, operation }: TiedChoice, conditions: readonly Predicate[]): Clause {
    const { methods, paths } = operation;
    const isAnyPath = paths?.some(({ text }) => text === '/**') === true;
    return {
      name: this.#named.name,
      id: ids && keyMatchesOf(ids),
      path: isAnyPath ? undefined : paths && keyMatchesOf(paths),
      method: this.#isAllow
        ? methods?.map((text) => ({ kind: 'exact' as const, text }))
        : undefined,
      conditions: this.#isAllow ? conditions : [...inAnyCase(methods), ...conditions],
    };
  }
}

/** On a connection without HTTP nothing matches what asks for more than it has. */
export function needsHttp(operation: Operation, { when }: PolicyRule): boolean {
  const { methods, paths, hosts, query, isGrpc } = operation;
  const asked = [methods, paths, hosts, query, when?.headers, when?.jwt];
  return isGrpc === true || asked.some((one) => one !== undefined);
}

/** For denies: some servers take `delete` for DELETE. */
function inAnyCase(methods: Operation['methods']): Predicate[] {
  if (methods === undefined) return [];
  const all = methods.map(
    (text): Predicate => ({
      kind: 'value',
      input: keyInputs.method,
      match: { kind: 'exact', text, ignoreCase: true },
    }),
  );
  return [anyOf(all)];
}

/** Where an ID is looked at too, so that nobody without one gets by. */
function exceptions({ ids, except }: Callers): Predicate[] {
  if (except.length === 0 || ids === undefined) return [];
  return [{ kind: 'not', of: keyPredicate(keyInputs.id, keyMatchesOf(except)) }];
}
