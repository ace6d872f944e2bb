import { z } from 'zod';
import { DAY, duration, option, SECOND, type Section } from './config-values.ts';

/** Section `authz.rbac`. */
export const rbacSchema: z.ZodType<RbacFile> = z.strictObject({
  enabled: option(
    z.boolean(),
    true,
    'Give Envoys that ask the agent for it (ECDS) what their RBAC filters decide by: the rules of the policies that Envoy can decide itself.',
  ),
  ttl: duration(5 * SECOND, DAY)
    .optional()
    .meta({
      description:
        'How long an Envoy decides by what it was given while it hears nothing from the agent; then its default configuration takes over, which denies everything. Without it for as long as it runs.',
      examples: ['5m'],
    }),
  perRuleStats: option(
    z.boolean(),
    false,
    'Have Envoys count decisions by rule: two counters for each rule.',
  ),
});

export type RbacFile = Section<{ enabled: boolean; ttl: number; perRuleStats: boolean }>;

/** How Envoys are given rules. Plain values. */
export interface RbacConfig {
  /** How long one is used without a word from here; undefined: any time. */
  readonly ttlMs: number | undefined;
  readonly perRuleStats: boolean;
}

/** Undefined: they are given none. */
export function buildRbac(file: RbacFile = {}): RbacConfig | undefined {
  const { enabled = true, ttl, perRuleStats = false } = file;
  return enabled ? { ttlMs: ttl, perRuleStats } : undefined;
}
