import type { ConfigNode } from './config-node.ts';

/** Whether an RBAC refuses nothing. */
export function letsAllIn(rbac: ConfigNode): boolean {
  const rules = rbac.get('rules');
  if (rules === undefined) return rbac.get('matcher') === undefined;
  const action = rules.choice(RBAC_ACTIONS, 'action') ?? 'ALLOW';
  if (action === 'LOG') return true;
  return action === 'DENY' && (rules.get('policies')?.members.length ?? 0) === 0;
}

/** By their numbers. */
export const RBAC_ACTIONS: readonly string[] = ['ALLOW', 'DENY', 'LOG'];

/** Whether a matcher allows what nothing in it matches. */
export function allowsOtherwise(matcher: ConfigNode | undefined): boolean {
  const otherwise = matcher?.get('on_no_match');
  if (otherwise === undefined) return false;
  const inner = otherwise.get('matcher');
  if (inner !== undefined) return allowsOtherwise(inner);
  const action = otherwise.get('action', 'typed_config');
  if (action?.typeName !== 'envoy.config.rbac.v3.Action') return false;
  return (action.choice(RBAC_ACTIONS, 'action') ?? 'ALLOW') !== 'DENY';
}
