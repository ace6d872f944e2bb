import { openPlan } from './open-plan.ts';
import { packPlan } from './pack-plan.ts';
import type { Plan } from './plan.ts';
import type { Policy } from './policy.ts';

/** Compiles policies for this thread; see packPlan. @throws TrustplaneError ERR_POLICY */
export function compilePlan(policies: readonly Policy[], digest: string): Plan {
  return openPlan(packPlan(policies, digest));
}
