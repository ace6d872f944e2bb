import type { PolicyPlace } from './authz-schema.ts';
import type { PolicySet, PolicySource } from './policy-source.ts';
import type { Process } from './process.ts';

/** Shows which policies there are, and why others are not; `inForce`: the digest of those that decide. */
export function showPolicies(
  { readiness }: Pick<Process, 'readiness'>,
  place: PolicyPlace,
  policies: PolicySource,
  inForce: () => string | undefined,
): void {
  const from = typeof place === 'string' ? place : 'the control plane';
  readiness.observe('policies', () =>
    policies.current() === undefined
      ? `everything is denied: ${policies.fault() ?? 'there are no policies yet'}`
      : (policies.fault() ?? emptiness(policies.current(), from)),
  );
  readiness.describe('policies', () => {
    const set = policies.current();
    if (set === undefined) return `none of ${from}`;
    const said = `${set.rules} ${set.rules === 1 ? 'rule' : 'rules'} of ${from}, digest ${set.digest}`;
    return inForce() === set.digest ? said : `${said}, not in force yet`;
  });
}

function emptiness(set: PolicySet | undefined, from: string): string | undefined {
  if (set === undefined || set.rules > 0) return undefined;
  return `everything is denied: ${from} has no rules`;
}
