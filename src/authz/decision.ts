import type { DenyResponse, PromoteAfter } from './policy.ts';
import type { Reason } from './reasons.ts';

export interface Decision {
  readonly isAllowed: boolean;
  readonly reason: Reason;
  /** The rule that decided: of several the first by the names of policy and rule. */
  readonly ruleId?: string | undefined;
  readonly policy?: string | undefined;
  readonly policyDigest: string;
  /** What to write over the caller's headers. Empty unless allowed. */
  readonly headers: ReadonlyMap<string, string>;
  /** What to remove of the caller's headers. */
  readonly removedHeaders: readonly string[];
  /** Rules that matched and are not enforced for this caller, as policy/rule. */
  readonly observed: readonly string[];
  /** Headers to write a signed assertion of the caller into; not among those to remove. Empty unless allowed. */
  readonly assertedHeaders: readonly string[];
  /** How the policies have a denial told, where they say so. */
  readonly deniedResponse?: DenyResponse | undefined;
  /** A rule that matched wants it in the log, whatever is sampled. */
  readonly log?: 'always' | undefined;
  /** What it would be if every stage were enforced; where a rule matched whose policy is tried. */
  readonly shadow?: ShadowDecision | undefined;
  /** Policies that are tried and have a rule that matched. */
  readonly staged?: readonly StagedDecision[] | undefined;
}

export interface ShadowDecision {
  readonly isAllowed: boolean;
  readonly ruleId: string | undefined;
}

export interface StagedDecision {
  readonly policy: string;
  /** Another one after each edit of the policy. */
  readonly version: number;
  readonly promoteAfter: PromoteAfter | undefined;
  /** With the policy and without it, it is decided otherwise. */
  readonly isChanged: boolean;
}
