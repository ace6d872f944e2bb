import { TrustplaneError } from '../spiffe/errors.ts';
import { canonicalText, sortById, sortPolicies } from './canonical-text.ts';
import { expandIds } from './find-contradictions.ts';
import { hashOf } from './hash-text.ts';
import { Pattern } from './pattern.ts';
import { PatternTreeBuilder } from './pattern-tree-builder.ts';
import type { PlanService } from './plan.ts';
import { type PlanImage, packSections } from './plan-image.ts';
import { RecordWriter } from './plan-records.ts';
import type { IdOrSet, Operation, Policy, PolicyRule } from './policy.ts';
import { joinTerms } from './service-terms.ts';

/** Roots of the tree; after them come those of the services, in the order of their numbers. */
export const SERVICE_IDS = 0;
export const SERVICE_CONTEXTS = 1;
export const FIRST_SERVICE = 2;

/** More combinations of IDs and paths of one rule are found by its paths alone, or by its IDs. */
const MAX_COMBINATIONS = 256;
/** Once the tree has so many places for rules, each of the others gets few: sets and lists multiply. */
const MANY_PLACES = 2_097_152;
const FEW_COMBINATIONS = 4;
/** Of the rules that a request finds in one place, so that none takes long. */
const MAX_ALIKE = 2_048;

/** A policy as an image has it. */
export type PackedPolicy = Pick<Policy, 'mode' | 'sets'> & {
  readonly name: string;
  readonly service: number;
  readonly version: number;
};

/**
 * Compiles policies that were checked. Their order and that of their rules makes no difference.
 * `digest` names them, such as the SHA-256 of `canonicalText`.
 * @throws TrustplaneError ERR_POLICY when two policies have one name, or too many rules are for the same
 * callers and paths
 */
export function packPlan(policies: readonly Policy[], digest: string): PlanImage {
  return new PlanPacker(policies, digest).pack();
}

class PlanPacker {
  readonly #digest: string;
  readonly #policies: readonly Policy[];
  readonly #services: ReadonlyMap<string, PlanService>;
  readonly #records = new RecordWriter();
  readonly #tree: PatternTreeBuilder;
  /** Of each rule the number of its policy. */
  readonly #policyNumbers: number[] = [];
  #places = 0;

  constructor(policies: readonly Policy[], digest: string) {
    this.#digest = digest;
    this.#policies = sortPolicies(policies);
    this.#services = collectServices(this.#policies);
    this.#tree = new PatternTreeBuilder(hashOf(digest, 0, digest.length));
  }

  pack(): PlanImage {
    this.#addServices();
    for (const policy of this.#policies) this.#addPolicy(policy);
    for (const [at, policy] of this.#policies.entries()) {
      const { number } = this.#serviceOf(policy);
      for (const rule of sortById(policy.rules)) this.#addRule(rule, at, number, policy);
    }
    const { starts, bytes } = this.#records.build();
    const { seed, ...tree } = this.#tree.build();
    const counts = Uint32Array.of(seed, this.#services.size, this.#policies.length);
    const { keys, children, shapeLists, shapeStarts, shapes, itemStarts, items } = tree;
    const rules = Uint32Array.from(this.#policyNumbers);
    const arrays = [keys, children, shapeLists, shapeStarts, shapes, itemStarts, items];
    return {
      digest: this.#digest,
      rules: rules.length,
      bytes: packSections([counts, ...arrays, rules, starts], bytes),
    };
  }

  #addServices(): void {
    const tree = this.#tree;
    const [ids, contexts] = [tree.addRoot(), tree.addRoot()];
    for (const service of this.#services.values()) {
      tree.addRoot();
      this.#records.add(service);
    }
    for (const { target, number } of this.#services.values())
      tree.addItem(
        target instanceof Pattern
          ? tree.child(ids, target)
          : tree.exactChild(contexts, target.contextExtension),
        number,
      );
  }

  #addPolicy(policy: Policy): void {
    const { metadata, mode, sets } = policy;
    const packed: PackedPolicy = {
      name: metadata.name,
      service: this.#serviceOf(policy).number,
      mode,
      version: versionOf(policy),
      sets,
    };
    this.#records.add(packed);
  }

  #addRule(rule: PolicyRule, policyNumber: number, service: number, policy: Policy): void {
    const number = this.#policyNumbers.push(policyNumber) - 1;
    this.#records.add(rule);
    const leaves = new Set<number>();
    const { ids, targets } = this.#keysOf(rule, policy);
    for (const id of ids) {
      const byId = this.#tree.child(FIRST_SERVICE + service, id);
      for (const target of targets) leaves.add(this.#tree.child(byId, target));
    }
    this.#places += leaves.size;
    for (const leaf of leaves)
      if (this.#tree.addItem(leaf, number) > MAX_ALIKE)
        throw new TrustplaneError(
          'ERR_POLICY',
          `the rule ${policy.metadata.name}/${rule.id} is one of over ${MAX_ALIKE} of its service for the same callers and paths; at most that many can be`,
        );
  }

  /** By what a rule is found: undefined is anything, and nothing. */
  #keysOf(
    { from, allow = [], deny = [] }: PolicyRule,
    { sets }: Policy,
  ): Record<'ids' | 'targets', readonly (Pattern | undefined)[]> {
    const most = this.#places < MANY_PLACES ? MAX_COMBINATIONS : FEW_COMBINATIONS;
    const targets = targetsOf([...allow, ...deny]);
    const ids =
      typeof from === 'string' ? [undefined] : (fewIds(from.ids, sets, most) ?? [undefined]);
    if (ids.length * targets.length <= most) return { ids, targets };
    return targets.length <= most ? { ids: [undefined], targets } : { ids, targets: [undefined] };
  }

  #serviceOf(policy: Policy): PlanService {
    const service = this.#services.get(serviceKey(policy));
    if (service === undefined) throw new TrustplaneError('ERR_INTERNAL', 'a service is not listed');
    return service;
  }
}

/** Undefined if there are more. */
function fewIds(
  ids: readonly IdOrSet[],
  sets: Policy['sets'],
  most: number,
): readonly Pattern[] | undefined {
  const count = ids.reduce(
    (sum, id) => sum + (id instanceof Pattern ? 1 : expandIds([id], sets).length),
    0,
  );
  return count > most ? undefined : expandIds(ids, sets);
}

/** The paths, one of which each request of a rule has; if they say nothing or there are none, the hosts. */
function targetsOf(operations: readonly Operation[]): readonly (Pattern | undefined)[] {
  const paths = allOf(operations, (operation) => operation.paths);
  if (paths !== undefined && !paths.some(({ text }) => text === '/**')) return paths;
  return allOf(operations, (operation) => operation.hosts) ?? paths ?? [undefined];
}

/** Undefined if one of the operations says nothing. */
function allOf(
  operations: readonly Operation[],
  pick: (operation: Operation) => readonly Pattern[] | undefined,
): readonly Pattern[] | undefined {
  const lists = operations.flatMap((operation) => [pick(operation) ?? []]);
  return lists.every(({ length }) => length > 0) ? lists.flat() : undefined;
}

function collectServices(policies: readonly Policy[]): Map<string, PlanService> {
  const services = new Map<string, PlanService>();
  for (const [key, group] of Map.groupBy(policies, serviceKey)) {
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
