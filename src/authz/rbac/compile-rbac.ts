import { Pattern } from '../pattern.ts';
import type { Policy } from '../policy.ts';
import { joinTerms } from '../service-terms.ts';
import { buildList, buildTree } from './build-tree.ts';
import type { Clause } from './clause.ts';
import {
  askCheck,
  cautiousGuards,
  certainGuards,
  denial,
  type GuardOptions,
  proxyGuards,
} from './guards.ts';
import { inTurn } from './in-turn.ts';
import type { MatchAction, Matcher } from './matcher.ts';
import { nameRules } from './name-rules.ts';
import type { CompiledRbac, RbacOptions } from './rbac-options.ts';
import { clausesOf, type NamedRule, needsHttp } from './rule-clauses.ts';
import { type SharedRule, shareRules } from './share-rules.ts';
import { checkRuleCount } from './tree-budget.ts';

/**
 * Compiles the policies of one service to matcher trees of Envoy's RBAC.
 * @throws TrustplaneError ERR_RBAC_LIMIT for more than 50,000 rules, or a tree of more than about 24 MB
 */
export function compileRbac(options: RbacOptions): CompiledRbac {
  const policies = options.policies.filter((policy) => isFor(policy, options.service));
  if (policies.length === 0) {
    const missing = denial('policy_missing');
    return {
      alone: missing,
      beforeCheck: missing,
      draft: undefined,
      shares: [],
      names: new Map(),
    };
  }
  return new ServiceCompiler(options, policies).compile();
}

/** Trees of which Envoy decides nothing. */
export function compileForCheck(): CompiledRbac {
  const { deny: alone, allow: beforeCheck } = askCheck;
  return { alone, beforeCheck, draft: undefined, shares: [], names: new Map() };
}

/** As findServices finds them. */
function isFor(
  { service }: Policy,
  { spiffeId, contextExtension }: RbacOptions['service'],
): boolean {
  return service instanceof Pattern
    ? spiffeId !== undefined && service.matches(spiffeId)
    : service.contextExtension === contextExtension;
}

class ServiceCompiler {
  readonly #options: RbacOptions;
  readonly #guards: GuardOptions;
  readonly #rules: readonly NamedRule[];
  readonly #isStaged: boolean;
  /** Why Envoy allows nothing. */
  readonly #blocked: string | undefined;

  constructor(options: RbacOptions, policies: readonly Policy[]) {
    this.#options = options;
    const terms = joinTerms(policies);
    const { allowMatrixParameters } = terms;
    this.#rules = nameRules(policies);
    const asksForSource = this.#rules.some(
      ({ rule: { deny, when } }) => deny !== undefined && when?.['source.ip'] !== undefined,
    );
    this.#guards = { ...options, allowMatrixParameters, asksForSource };
    checkRuleCount(this.#rules.length);
    this.#isStaged = policies.some(({ mode }) => (mode?.stage ?? 'enforce') !== 'enforce');
    this.#blocked = options.terms.isBlind
      ? 'something is revoked that Envoy cannot tell'
      : this.#blockedBy(terms.maxBodyBytes);
  }

  compile(): CompiledRbac {
    const rules = this.#compileRules(false);
    const drafted = this.#isStaged ? this.#compileRules(true) : undefined;
    const denies = this.#denies(rules);
    return {
      alone: this.#alone(rules, denies),
      beforeCheck: this.#beforeCheck(denies),
      draft: drafted && this.#alone(drafted, this.#denies(drafted)),
      shares: shareRules(rules, this.#blocked, this.#options.target),
      names: new Map(
        this.#rules.map(({ name, policy, rule }) => [
          name,
          { policy: policy.metadata.name, rule: rule.id },
        ]),
      ),
    };
  }

  #compileRules(asEnforced: boolean): readonly SharedRule[] {
    return this.#rules.map((named) => ({
      named,
      clauses: clausesOf(named, this.#options, asEnforced),
    }));
  }

  #alone(rules: readonly SharedRule[], denies: Matcher | undefined): Matcher {
    const isBlocked = this.#blocked !== undefined;
    const doubts = this.#build(doubtsIn(rules), 'DENY');
    const allows = isBlocked ? undefined : buildTree(certainIn(rules, 'allow'), 'ALLOW');
    const rest = isBlocked ? askCheck.deny : denial('no_rule_matched');
    return inTurnOf([cautiousGuards(this.#guards), denies, doubts, allows], rest);
  }

  #beforeCheck(denies: Matcher | undefined): Matcher {
    return inTurnOf(
      [certainGuards(this.#guards), proxyGuards(this.#guards), denies],
      askCheck.allow,
    );
  }

  #denies(rules: readonly SharedRule[]): Matcher | undefined {
    return this.#build(certainIn(rules, 'deny'), 'DENY');
  }

  #build(clauses: readonly Clause[], action: MatchAction['action']): Matcher | undefined {
    return this.#options.layout === 'nested'
      ? buildTree(clauses, action)
      : buildList(clauses, action);
  }

  #blockedBy(maxBodyBytes: number | undefined): string | undefined {
    const isHttp = this.#options.target === 'http';
    const maps = this.#rules.some(
      ({ rule }) =>
        rule.map !== undefined &&
        (isHttp || rule.allow?.some((operation) => !needsHttp(operation, rule)) === true),
    );
    if (maps) return 'the service has rules with map, whose headers Check writes and removes';
    return isHttp && maxBodyBytes !== undefined
      ? 'the service has request.body.maxBytes, which Check looks at'
      : undefined;
  }
}

function certainIn(rules: readonly SharedRule[], effect: 'allow' | 'deny'): Clause[] {
  return rules.flatMap(({ named, clauses }) =>
    named.rule[effect] === undefined ? [] : clauses.sure,
  );
}

/** What denies may take beside what they do for certain; which of them does is not said. */
function doubtsIn(rules: readonly SharedRule[]): Clause[] {
  const { name } = askCheck.deny;
  return rules.flatMap(({ clauses }) => clauses.maybe.map((clause) => ({ ...clause, name })));
}

function inTurnOf(parts: readonly (Matcher | undefined)[], last: MatchAction): Matcher {
  return parts.reduceRight<Matcher>((rest, part) => inTurn(part, rest) ?? rest, last);
}
