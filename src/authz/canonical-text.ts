import { TrustplaneError } from '../spiffe/errors.ts';
import { Pattern } from './pattern.ts';
import type { Policy } from './policy.ts';

/** The same text for the same policies, whatever their order; tests, assertions and notes are left out. */
export function canonicalText(policies: readonly Policy[]): string {
  const essence = sortPolicies(policies).map(
    ({ metadata, service, mode, request, response, sets, rules }) => ({
      name: metadata.name,
      service,
      mode,
      request,
      response,
      sets,
      rules: sortById(rules),
    }),
  );
  return JSON.stringify(essence, (_, value: unknown) =>
    value instanceof Pattern ? value.text : sortKeys(value),
  );
}

/** By their names. @throws TrustplaneError ERR_POLICY when two have one name */
export function sortPolicies(policies: readonly Policy[]): Policy[] {
  const sorted = policies.toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  for (const [at, { metadata }] of sorted.entries())
    if (metadata.name === sorted[at + 1]?.metadata.name)
      throw new TrustplaneError('ERR_POLICY', `two policies have the name "${metadata.name}"`);
  return sorted;
}

export function sortById<T extends { readonly id: string }>(rules: readonly T[]): T[] {
  return rules.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

function sortKeys(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
