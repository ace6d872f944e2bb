import { digestPlan, type Plan, stepsOf } from '../apply/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { ApplyServiceOptions, Begun } from './apply-request.ts';
import { type PlanOutcome, performPlan } from './perform-plan.ts';
import type { SetLocks } from './set-locks.ts';

/** Carries a plan out, unless it is not the one that is expected, or others were quicker. */
export async function performApply(
  options: ApplyServiceOptions,
  locks: SetLocks,
  begun: Begun,
  plan: Plan,
): Promise<PlanOutcome> {
  try {
    return await locks.hold(begun.set, () => perform(options, begun, plan));
  } catch (error) {
    return nothingDone(plan, error);
  }
}

async function perform(
  { targets, entries, relationships, log }: ApplyServiceOptions,
  { set, expected_plan }: Begun,
  plan: Plan,
): Promise<PlanOutcome> {
  // What an apply at another server did just now.
  await entries.catchUpNow();
  refuse(plan, expected_plan);
  const standing = (id: string) => entries.standing(id);
  const outcome = await performPlan(plan, set, { ...targets, standing, relationships });
  const { added, changed, removed, failure } = outcome;
  log.info({ set, added, changed, removed, error: failure?.message }, 'documents applied');
  return outcome;
}

function nothingDone(plan: Plan, error: unknown): PlanOutcome {
  const failure =
    error instanceof TrustplaneError
      ? error
      : new TrustplaneError('ERR_APPLY_INCOMPLETE', messageOf(error), { cause: error });
  return { added: 0, changed: 0, removed: 0, left: [...stepsOf(plan).keys()], failure };
}

/** @throws TrustplaneError ERR_APPLY_CHANGED */
function refuse(plan: Plan, expected: Uint8Array = new Uint8Array()): void {
  if (expected.length > 0 && !Buffer.from(digestPlan(plan)).equals(expected)) {
    const message = 'the plan is another than the one that is expected; look at it again';
    throw new TrustplaneError('ERR_APPLY_CHANGED', message);
  }
  const overtaken = plan.overtaken();
  const [first] = overtaken;
  if (first === undefined) return;
  const message = `others changed ${first} and ${overtaken.length - 1} more meanwhile; nothing was applied, apply again`;
  throw new TrustplaneError('ERR_APPLY_CHANGED', message);
}
