import type { MatchAction } from './matcher.ts';
import type { CompiledRbac, RbacOptions } from './rbac-options.ts';

/**
 * Compiles the policies of one service to matcher trees of Envoy's RBAC.
 * @throws TrustplaneError ERR_RBAC_LIMIT when the trees are larger than an Envoy should be given
 */
export function compileRbac(options: RbacOptions): CompiledRbac {
  const leaveToCheck: MatchAction = { kind: 'action', name: 'ask_check', action: 'ALLOW' };
  const denyAll: MatchAction = { kind: 'action', name: 'no_rule_matched', action: 'DENY' };
  const shares = options.policies.flatMap(({ metadata, rules }) =>
    rules.map(({ id, allow }) => ({
      policy: metadata.name,
      rule: id,
      effect: allow === undefined ? ('deny' as const) : ('allow' as const),
      decidedBy: 'check' as const,
      why: undefined,
    })),
  );
  return { alone: denyAll, beforeCheck: leaveToCheck, draft: undefined, shares, names: new Map() };
}
