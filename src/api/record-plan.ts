import { type Plan, type Step, stepsOf } from '../apply/index.ts';
import {
  type AuditLog,
  formatSelector,
  type RegistrationEntry,
  type Requester,
} from '../spiffe/index.ts';
import type { PlanOutcome } from './perform-plan.ts';

/** Of one event; a step has about 250 characters. */
const STEPS_PER_EVENT = 20;
const MAX_STEP = 600;

/** Has the ledger say what of a plan was done, step by step. @throws TrustplaneError ERR_AUDIT_* */
export async function recordPlan(
  audit: Pick<AuditLog, 'record'>,
  requester: Requester,
  {
    set,
    plan,
    outcome,
  }: { readonly set: string; readonly plan: Plan; readonly outcome: PlanOutcome },
): Promise<void> {
  const left = new Set(outcome.left);
  const done = stepsOf(plan).flatMap((step, index) => (left.has(index) ? [] : [textOf(step)]));
  const events = Array.from({ length: Math.ceil(done.length / STEPS_PER_EVENT) }, (_, part) => ({
    kind: 'admin' as const,
    method: 'trustplane.admin.v1.Apply/Apply',
    requester,
    outcome: 'OK',
    what: `set ${set}: ${done.slice(part * STEPS_PER_EVENT, (part + 1) * STEPS_PER_EVENT).join('; ')}`,
  }));
  if (events.length > 0) await audit.record(events);
}

function textOf(step: Step): string {
  const { before, after } = step;
  const verb = before === undefined ? 'added' : after === undefined ? 'removed' : 'changed';
  if (step.subject === 'relationship') {
    const { trustDomain } = { ...step.before, ...step.after };
    return `${verb} the relationship with ${trustDomain?.name}`.slice(0, MAX_STEP);
  }
  const then = step.after?.entry;
  const entry = then ?? step.before?.entry;
  const id = step.before === undefined ? '' : ` (${step.before.entry.id})`;
  // What an ID of any length cannot cut off.
  const rights = `${then?.admin === true ? ' admin' : ''}${then?.downstream === true ? ' downstream' : ''}`;
  const given = then === undefined ? '' : givenTo(then);
  const text = `${verb}${rights} ${entry?.spiffeId.toString()}${id}${given}`;
  return text.slice(0, MAX_STEP).toWellFormed();
}

function givenTo({ parentId, selectors }: RegistrationEntry): string {
  return ` below ${parentId.path} for ${selectors.map(formatSelector).join(', ')}`;
}
