import type { AppliedView, ChangeView, ImpactView, PlanView } from '../client/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';

/** Changes and identities that are shown one by one; JSON has all. */
const MAX_CHANGES = 1_000;
const MAX_IDENTITIES = 20;
const MAX_LEFT = 100;

/** What the changes are, each on a line, then how many, then what they mean. */
export function formatPlan(plan: PlanView): string {
  const shown = plan.changes.slice(0, MAX_CHANGES).flatMap(formatChange);
  const more = plan.changes.length - MAX_CHANGES;
  const { added, changed, removed, unchanged, kept } = plan;
  const sum = [`${added} to add`, `${changed} to change`, `${removed} to remove`];
  sum.push(`${unchanged} unchanged`);
  if (kept > 0) sum.push(`${kept} that are in no document, and stay (--prune removes them)`);
  return [
    ...shown,
    ...(more > 0 ? [`… and ${more} more (--output json shows all)`] : []),
    sum.join(', '),
    ...formatImpact(plan.impact),
  ].join('\n');
}

/** What was done, and what was not. */
export function formatOutcome({ plan, outcome }: AppliedView): string {
  if (outcome === undefined) return `plan ${plan.digest}\nnothing was applied`;
  const { added, changed, removed, left } = outcome;
  const done = `${added} added, ${changed} changed, ${removed} removed`;
  if (left.length === 0) return `${done}; all is as the documents say`;
  const shown = left.slice(0, MAX_LEFT).map((change) => `not done: ${titleOf(change)}`);
  return [done, `${left.length} were not done`, ...shown].join('\n');
}

const marks = { add: '+ ', change: '~ ', remove: '- ' } as const;

function formatChange(change: ChangeView): string[] {
  const fields = change.fields.map(
    ({ name, before, after }) => `    ${name}: ${before || '(none)'} -> ${after || '(none)'}`,
  );
  const where = change.source === '' ? '' : `  ${change.source}`;
  return [`${titleOf(change)}${where}`, ...fields];
}

function titleOf({ kind, subject, name, id, parentId, selectors }: ChangeView): string {
  if (subject === 'relationship') return `${marks[kind]}relationship with ${name}`;
  const entry = id === '' ? '' : ` (${id})`;
  return `${marks[kind]}${name}${entry} for ${selectors.join(', ')} below ${parentId}`;
}

function formatImpact({ losing, gaining, identities, ...gaps }: ImpactView): string[] {
  const lines: string[] = [];
  if (losing.workloads > 0) lines.push(`removes an identity of ${countOf(losing)}`);
  if (gaining.workloads > 0) lines.push(`gives an identity to ${countOf(gaining)}`);
  if (lines.length === 0) lines.push('no running workload is concerned');
  for (const { spiffeId, ...one } of identities.slice(0, MAX_IDENTITIES)) {
    if (one.losing.workloads > 0) lines.push(`    - ${spiffeId}: ${countOf(one.losing)}`);
    if (one.gaining.workloads > 0) lines.push(`    + ${spiffeId}: ${countOf(one.gaining)}`);
  }
  const { unknownAgents, partialAgents, otherServers } = gaps;
  if (otherServers > 0)
    lines.push(
      `not counted: workloads of agents at ${otherServers} other server${otherServers === 1 ? '' : 's'}`,
    );
  if (unknownAgents > 0)
    lines.push(`not counted: workloads of ${unknownAgents} agents that do not tell`);
  if (partialAgents > 0) lines.push(`${partialAgents} agents told only some of their workloads`);
  return lines;
}

function countOf({ workloads, agents }: ImpactView['losing']): string {
  const many = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`;
  return `${many(workloads, 'running workload')} on ${many(agents, 'agent')}`;
}

/** @throws TrustplaneError ERR_APPLY_REFUSED */
export function refuse({ plan: { complaints } }: AppliedView): void {
  if (complaints.length === 0) return;
  throw new TrustplaneError('ERR_APPLY_REFUSED', [...complaints, 'nothing was changed'].join('\n'));
}

/** As JSON. */
export function viewOf({ plan, outcome }: AppliedView): object {
  if (outcome === undefined) return { plan, outcome: null };
  const { failure, ...done } = outcome;
  const error = failure === undefined ? null : { code: failure.code, message: failure.message };
  return { plan, outcome: { ...done, error } };
}
