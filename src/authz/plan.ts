import type { HashIndex } from './hash-index.ts';
import type { Pattern } from './pattern.ts';
import type { PatternSpace } from './pattern-space.ts';
import type { Conditions, MappedValue, Operation, PolicyMode } from './policy.ts';

/** Policies made ready to decide. Never changes; another set of policies is another plan. */
export interface Plan {
  /** Names the set of policies in logs. */
  readonly digest: string;
  readonly services: readonly PlanService[];
  readonly rules: readonly PlanRule[];
  readonly serviceIndex: HashIndex;
  readonly ruleIndex: HashIndex;
  readonly servicePatterns: PatternSpace;
  readonly idPatterns: PatternSpace;
  readonly pathPatterns: PatternSpace;
}

/** All policies whose `service` is the same text. */
export interface PlanService {
  readonly number: number;
  readonly target: Pattern | { readonly contextExtension: string };
  readonly allowMatrixParameters: boolean;
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
}

export interface PlanPolicy {
  readonly name: string;
  readonly service: PlanService;
  readonly mode: PolicyMode | undefined;
}

/** Who is meant; a list, where it is short and has no exceptions. */
export type PlanFrom = 'authenticated' | 'anyone' | readonly Pattern[] | PlanIds;

export interface PlanIds {
  readonly exact: ReadonlySet<string>;
  readonly patterns: readonly Pattern[];
  readonly except: readonly Pattern[];
}
