import type { IdList } from './id-list.ts';
import type { Parts, SizedParts } from './kept-parts.ts';
import type { Pattern } from './pattern.ts';
import type { PatternTree } from './pattern-tree.ts';
import type { Conditions, Credential, MappedValue, Operation, PolicyMode } from './policy.ts';
import type { ServiceTerms } from './service-terms.ts';

/** Policies made ready to decide. Never changes; another set of policies is another plan. */
export interface Plan {
  /** Names the set of policies in logs. */
  readonly digest: string;
  /** Policies that are enforced although their stage is another. */
  readonly promoted: Pick<ReadonlySet<string>, 'has' | 'size'>;
  /** Under each service the numbers of its rules by the patterns of callers and, below, of paths or hosts. */
  readonly tree: PatternTree;
  /** Whether any rule is found by its host. */
  readonly usesHosts: boolean;
  readonly services: Parts<PlanService>;
  /** By the names of their policies and their own. */
  readonly rules: SizedParts<PlanRule>;
}

/** All policies whose `service` is the same text. */
export interface PlanService extends ServiceTerms {
  readonly number: number;
  readonly target: Pattern | { readonly contextExtension: string };
  /** Headers that only rules write, in lower case. */
  readonly ownedHeaders: readonly string[];
}

export interface PlanRule {
  readonly id: string;
  readonly policy: PlanPolicy;
  readonly isAllow: boolean;
  readonly from: PlanFrom;
  readonly operations: readonly Operation[];
  readonly when: Conditions | undefined;
  readonly map: readonly (readonly [header: string, value: MappedValue])[] | undefined;
  readonly hasCaptures: boolean;
  /** Undefined: of an allow x509-svid, of a deny any. */
  readonly credentials: readonly Credential[] | undefined;
  /** Whether every decision it matches is logged. */
  readonly isLogged: boolean;
}

export interface PlanPolicy {
  readonly name: string;
  readonly service: PlanService;
  readonly mode: PolicyMode | undefined;
  /** Another one after each edit that matters; 0 where the policy is enforced. */
  readonly version: number;
  readonly sets: ReadonlyMap<string, IdList>;
}

/** Who is meant; a list, where it is short and has no exceptions. */
export type PlanFrom = 'authenticated' | 'anyone' | readonly Pattern[] | PlanIds;

export interface PlanIds {
  readonly lists: readonly IdList[];
  readonly except: readonly IdList[];
}
