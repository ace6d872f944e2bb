import type { Matcher } from './matcher.ts';
import type { RbacTarget } from './type-urls.ts';

/** A configuration of Envoy's RBAC filter, of HTTP or of connections. */
export interface RbacMessage {
  readonly target: RbacTarget;
  readonly matcher: Matcher;
  /** Evaluated beside it, and only told of. */
  readonly shadow: Matcher | undefined;
  /** In front of the names of its metrics and metadata. */
  readonly statPrefix: string;
  readonly shadowStatPrefix: string;
  /** Counts decisions by action name; of HTTP alone. */
  readonly perRuleStats: boolean;
}

/** What may be left out of a `RbacMessage`. */
export interface RbacParts {
  readonly target: RbacTarget;
  readonly matcher: Matcher;
  readonly shadow?: Matcher | undefined;
  /** Default: `tp_`. */
  readonly statPrefix?: string | undefined;
  /** Default: `tp_draft_`. */
  readonly shadowStatPrefix?: string | undefined;
  /** Default: false. */
  readonly perRuleStats?: boolean | undefined;
}

export function rbacMessage(parts: RbacParts): RbacMessage {
  const { target, matcher, shadow, perRuleStats = false } = parts;
  const { statPrefix = 'tp_', shadowStatPrefix = 'tp_draft_' } = parts;
  return { target, matcher, shadow, statPrefix, shadowStatPrefix, perRuleStats };
}
