import type { AccessRequest } from '../access-request.ts';
import { Pattern } from '../pattern.ts';
import type { Policy } from '../policy.ts';
import type { Budget } from './budget.ts';
import { SegmentClasses } from './segment-classes.ts';
import { divideValues, idKind } from './value-cells.ts';

/** Services that the same policies are for. */
export interface UnitedService {
  /** One of them. */
  readonly service: AccessRequest['service'];
  readonly policies: readonly Policy[];
  readonly allowMatrixParameters: boolean;
}

/** The services of policies: those that the same patterns match are one; names that routes give stand for themselves. */
export function uniteServices(policies: readonly Policy[], budget: Budget): UnitedService[] {
  const byPattern = new Map<string, { pattern: Pattern; policies: Policy[] }>();
  const byName = new Map<string, Policy[]>();
  for (const policy of policies) {
    const { service } = policy;
    if (service instanceof Pattern) {
      const known = byPattern.get(service.text) ?? { pattern: service, policies: [] };
      known.policies.push(policy);
      byPattern.set(service.text, known);
    } else
      byName.set(service.contextExtension, [
        ...(byName.get(service.contextExtension) ?? []),
        policy,
      ]);
  }
  const entries = [...byPattern.values()];
  const patterns = entries.map(({ pattern }) => pattern);
  const cells = divideValues(idKind, patterns, new Set(), new SegmentClasses(budget), budget);
  return [
    ...cells
      .filter(({ matched }) => matched.length > 0)
      .map(({ words, matched }) =>
        united(
          { spiffeId: idKind.textOf(words) },
          matched.flatMap((number) => entries[number]?.policies ?? []),
        ),
      ),
    ...[...byName].map(([contextExtension, group]) => united({ contextExtension }, group)),
  ];
}

function united(service: UnitedService['service'], policies: readonly Policy[]): UnitedService {
  const allowMatrixParameters = policies.every(
    ({ request }) => request?.path?.matrixParameters === 'allow',
  );
  return { service, policies, allowMatrixParameters };
}
