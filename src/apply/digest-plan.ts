import { hash } from 'node:crypto';
import { identityOf } from './entry-identity.ts';
import { type Plan, type Step, stepsOf } from './plan.ts';

/** Of what is done and what it is tied to: two plans with one digest do the same to the same. */
export function digestPlan(plan: Plan): Uint8Array {
  const lines = stepsOf(plan).map((step) => JSON.stringify(traitsOf(step)));
  return hash('sha256', lines.sort().join('\n'), 'buffer');
}

function traitsOf(step: Step): readonly unknown[] {
  if (step.subject === 'relationship') {
    const { before, after } = step;
    const name = (before ?? after)?.trustDomain.name;
    return [name, before === undefined, step.fields, after?.bundleEndpointUrl];
  }
  const { before, after } = step;
  return [before?.entry.id, before?.revision, after && identityOf(after.entry), step.fields];
}
