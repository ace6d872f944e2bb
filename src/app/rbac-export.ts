import type { RbacTerms, RuleShare } from '../authz/rbac/index.ts';
import type { ExtensionKind } from '../ecds/index.ts';

/** What is true of callers, as it goes to another thread; see RbacTerms. */
export interface PlainTerms extends Omit<RbacTerms, 'trusted'> {
  /** `accept` undefined: all of the trust domain. */
  readonly trusted: readonly {
    readonly trustDomain: string;
    readonly accept: readonly string[] | undefined;
  }[];
}

/** For whom rules are to be compiled. */
export interface RbacTarget {
  /** What the client calls the configuration. */
  readonly name: string;
  readonly service: {
    readonly spiffeId: string;
    readonly contextExtension: string | undefined;
  };
  readonly kind: ExtensionKind;
  readonly layout: 'nested' | 'flat-denies';
}

/** What is to be compiled for an Envoy. */
export interface RbacOrder extends RbacTarget {
  /** Of the policies, which were compiled before. */
  readonly digest: string;
  readonly terms: PlainTerms;
  readonly perRuleStats: boolean;
}

/** The rules of a service as Envoy takes them. */
export interface ExportedRbac {
  /** An encoded envoy.config.core.v3.TypedExtensionConfig. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Of the bytes. */
  readonly version: string;
  /** How many rules who decides by. */
  readonly shares: Readonly<Record<RuleShare['decidedBy'], number>>;
  /** Some of those that Envoy cannot decide by, and why. */
  readonly left: readonly string[];
}

/** Compiles policies for Envoy where they were compiled already. */
export interface RbacCompiler {
  /**
   * Rules of policies that were compiled lately, for Envoy.
   * @throws TrustplaneError ERR_RBAC_* when they cannot be; ERR_POLICY when the policies are not known any more;
   * ERR_INTERNAL when the thread has ended
   */
  exportRbac(order: RbacOrder): Promise<ExportedRbac>;
  /** The rules that Envoy's refusal of such an export is about, as `policy/rule`; empty: it does not say. */
  blame(order: RbacOrder, refusal: string): Promise<readonly string[]>;
}
