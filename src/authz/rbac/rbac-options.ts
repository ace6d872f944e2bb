import type { IdScope } from '../../spiffe/id-scope.ts';
import type { Policy } from '../policy.ts';
import type { Matcher } from './matcher.ts';
import type { RbacTarget } from './type-urls.ts';

export interface RbacOptions {
  /** All there are; those of the service are picked as a decision does. */
  readonly policies: readonly Policy[];
  readonly service: {
    readonly spiffeId?: string | undefined;
    readonly contextExtension?: string | undefined;
  };
  /** `network`: of a connection no more is known than its certificate, addresses and ports. */
  readonly target: RbacTarget;
  /** `flat-denies`: for an Envoy before 1.35, whose prefix maps do not go on after a miss. */
  readonly layout: 'nested' | 'flat-denies';
  readonly terms: RbacTerms;
}

/** What is true of callers, beside policies. */
export interface RbacTerms {
  /** Undefined: whoever Envoy verified. `accept` undefined: all of the trust domain. */
  readonly trusted:
    | readonly {
        readonly trustDomain: string;
        readonly accept: readonly IdScope[] | undefined;
      }[]
    | undefined;
  readonly revokedIds: readonly string[];
  /** Lower-case hex, as Envoy writes it. */
  readonly revokedSerials: readonly string[];
  /** Something is revoked that Envoy cannot tell: nobody is allowed by Envoy alone. */
  readonly isBlind: boolean;
  /** Headers in which a token may name the caller; lower case. */
  readonly tokenHeaders: readonly string[];
  /** Patterns of the SPIFFE IDs of proxies that speak for others. */
  readonly proxies: readonly string[];
  /** Where claims of verified tokens are in the dynamic metadata. */
  readonly jwt: { readonly namespace: string; readonly payloadKey: string };
}

export interface CompiledRbac {
  /** Its ALLOW implies that the engine allows. */
  readonly alone: Matcher;
  /** Its DENY implies that the engine denies; ALLOW: for Check to decide. */
  readonly beforeCheck: Matcher;
  /** `alone` as if every policy were enforced; undefined where all are. */
  readonly draft: Matcher | undefined;
  /** One of each rule of the service, by names of policy and rule. */
  readonly shares: readonly RuleShare[];
  /** The rules behind names of actions. */
  readonly names: ReadonlyMap<string, { readonly policy: string; readonly rule: string }>;
}

/** Who decides by a rule. */
export interface RuleShare {
  readonly policy: string;
  readonly rule: string;
  readonly effect: 'allow' | 'deny';
  /** `both`: Envoy decides a part. */
  readonly decidedBy: 'envoy' | 'check' | 'both';
  /** What keeps Envoy from deciding; undefined: nothing does. */
  readonly why: string | undefined;
}
