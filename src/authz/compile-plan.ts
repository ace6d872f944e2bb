import { TrustplaneError } from '../spiffe/errors.ts';
import { expandIds } from './find-contradictions.ts';
import { buildHashIndex } from './hash-index.ts';
import { Pattern } from './pattern.ts';
import { hashOf, mix, PatternSpace } from './pattern-space.ts';
import type { Plan, PlanFrom, PlanIds, PlanRule, PlanService } from './plan.ts';
import type { Operation, Policy, PolicyRule } from './policy.ts';
import { joinTerms } from './service-terms.ts';

/** More combinations of IDs and paths in one rule are indexed by its paths alone, or its IDs. */
const MAX_COMBINATIONS = 1024;
/** So many IDs are compared one by one. */
const FEW = 4;
/** The hash of "says nothing". */
export const ANY = 0;

/**
 * Compiles policies that were checked. Their order and that of their rules makes no difference.
 * `digest` names them, such as the SHA-256 of `canonicalText`.
 * @throws TrustplaneError ERR_POLICY when two policies have one name
 */
export function compilePlan(policies: readonly Policy[], digest: string): Plan {
  const sorted = sortPolicies(policies);
  const services = collectServices(sorted);
  const builder = new PlanBuilder();
  for (const policy of sorted) {
    const service = services.get(serviceKey(policy));
    if (service === undefined) throw new TrustplaneError('ERR_INTERNAL', 'a service is not listed');
    const { mode, metadata } = policy;
    const facts = { name: metadata.name, service, mode, version: versionOf(policy) };
    for (const rule of sortById(policy.rules)) builder.add(rule, facts, policy.sets);
  }
  return builder.build([...services.values()], digest);
}

/** The same text for the same policies, whatever their order; tests, assertions and notes are left out. */
export function canonicalText(policies: readonly Policy[]): string {
  const essence = sortPolicies(policies).map(
    ({ metadata, service, mode, request, response, sets, rules }) => ({
      name: metadata.name,
      service,
      mode,
      request,
      response,
      sets,
      rules: sortById(rules),
    }),
  );
  return JSON.stringify(essence, (_, value: unknown) =>
    value instanceof Pattern ? value.text : sortKeys(value),
  );
}

class PlanBuilder {
  readonly #rules: PlanRule[] = [];
  readonly #hashes: number[] = [];
  readonly #items: number[] = [];
  readonly #ids = new PatternSpace();
  readonly #paths = new PatternSpace();
  readonly #froms = new Map<string, PlanFrom>();
  readonly #operations = new Map<string, readonly string[]>();

  add(rule: PolicyRule, policy: PlanRule['policy'], sets: Policy['sets']): void {
    const ids = typeof rule.from === 'string' ? undefined : expandIds(rule.from.ids, sets);
    const operations = (rule.allow ?? rule.deny ?? []).map((one) => this.#shared(one));
    const number = this.#rules.length;
    this.#rules.push({
      id: rule.id,
      policy,
      isAllow: rule.allow !== undefined,
      from: this.#fromOf(rule.from, ids, sets),
      operations,
      when: rule.when,
      map: rule.map && Object.entries(rule.map).sort(([a], [b]) => (a < b ? -1 : 1)),
      hasCaptures: ids?.some(hasCaptures) === true || operations.some(operationHasCaptures),
      credentials: typeof rule.from === 'string' ? undefined : rule.from.credentials,
      isLogged: rule.log === 'always',
    });
    const paths = operations.every((one) => one.paths !== undefined)
      ? operations.flatMap((one) => one.paths ?? [])
      : undefined;
    this.#index(number, policy.service.number, ids, paths);
  }

  build(services: readonly PlanService[], digest: string): Plan {
    const servicePatterns = new PatternSpace();
    const hashes = services.map(({ target }) =>
      target instanceof Pattern
        ? servicePatterns.add(target)
        : contextHash(target.contextExtension),
    );
    return {
      digest,
      promoted: new Set(),
      services,
      rules: this.#rules,
      serviceIndex: buildHashIndex(hashes, [...services.keys()]),
      ruleIndex: buildHashIndex(this.#hashes, this.#items),
      servicePatterns,
      idPatterns: this.#ids,
      pathPatterns: this.#paths,
    };
  }

  #index(
    rule: number,
    service: number,
    ids: readonly Pattern[] | undefined,
    paths: readonly Pattern[] | undefined,
  ): void {
    const tooMany = (ids?.length ?? 1) * (paths?.length ?? 1) > MAX_COMBINATIONS;
    const byPath = paths?.map((path) => this.#paths.add(path)) ?? [ANY];
    const byId =
      ids === undefined || (tooMany && paths !== undefined)
        ? [ANY]
        : ids.map((id) => this.#ids.add(id));
    for (const id of byId)
      for (const path of byPath) {
        this.#hashes.push(ruleHash(service, id, path));
        this.#items.push(rule);
      }
  }

  #fromOf(
    from: PolicyRule['from'],
    ids: readonly Pattern[] | undefined,
    sets: Policy['sets'],
  ): PlanFrom {
    if (typeof from === 'string') return from;
    const except = expandIds(from.except ?? [], sets);
    if (ids !== undefined && ids.length <= FEW && except.length === 0) return ids;
    const key = [ids, except].map((list) => list?.map(({ text }) => text).join(' ')).join('\n');
    const known = this.#froms.get(key);
    if (known !== undefined) return known;
    const made = buildIds(ids ?? [], except);
    this.#froms.set(key, made);
    return made;
  }

  /** Rules mostly have the same few lists of methods; they are kept once. */
  #shared(operation: Operation): Operation {
    const { methods } = operation;
    if (methods === undefined) return operation;
    const key = methods.join(' ');
    const shared = this.#operations.get(key) ?? methods;
    this.#operations.set(key, shared);
    return { ...operation, methods: shared };
  }
}

/** Where the rules of a service for an ID and a path are found. */
export function ruleHash(service: number, id: number, path: number): number {
  return mix(mix(mix(1, service), id), path);
}

/** Where a service that the route names is found. */
export function contextHash(name: string): number {
  return mix(7, hashOf(name, 0, name.length));
}

function buildIds(ids: readonly Pattern[], except: readonly Pattern[]): PlanIds {
  return {
    exact: new Set(ids.filter(({ isExact }) => isExact).map(({ text }) => text)),
    patterns: ids.filter(({ isExact }) => !isExact),
    except,
  };
}

function collectServices(policies: readonly Policy[]): Map<string, PlanService> {
  const grouped = Map.groupBy(policies, serviceKey);
  const services = new Map<string, PlanService>();
  for (const [key, group] of grouped) {
    const [first] = group;
    if (first === undefined) continue;
    const headers = group.flatMap(({ rules }) =>
      rules.flatMap(({ map }) => Object.keys(map ?? {})),
    );
    services.set(key, {
      number: services.size,
      target: first.service,
      ...joinTerms(group),
      ownedHeaders: [...new Set(headers)].sort(),
    });
  }
  return services;
}

/** Of a policy that is tried. */
function versionOf(policy: Policy): number {
  if ((policy.mode?.stage ?? 'enforce') === 'enforce') return 0;
  const text = canonicalText([policy]);
  return hashOf(text, 0, text.length);
}

function serviceKey({ service }: Policy): string {
  return service instanceof Pattern ? service.text : `context ${service.contextExtension}`;
}

function sortPolicies(policies: readonly Policy[]): Policy[] {
  const sorted = policies.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  for (const [at, { metadata }] of sorted.entries())
    if (metadata.name === sorted[at + 1]?.metadata.name)
      throw new TrustplaneError('ERR_POLICY', `two policies have the name "${metadata.name}"`);
  return sorted;
}

function sortById<T extends { readonly id: string }>(rules: readonly T[]): T[] {
  return rules.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

function sortKeys(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function hasCaptures(pattern: Pattern): boolean {
  return pattern.captureNames.length > 0;
}

function operationHasCaptures({ paths, hosts }: Operation): boolean {
  return paths?.some(hasCaptures) === true || hosts?.some(hasCaptures) === true;
}
