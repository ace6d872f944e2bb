import type { Bundle, FederationTerms, Revocation } from '../spiffe/index.ts';
import type { Facts } from './facts.ts';

/** Values by ID, for each kind of fact: bundles and terms by trust domain, revocations by ID, policies by name. Immutable. */
export interface FactSections {
  readonly b: ReadonlyMap<string, Bundle>;
  readonly t: ReadonlyMap<string, FederationTerms>;
  readonly r: ReadonlyMap<string, Revocation>;
  readonly p: ReadonlyMap<string, string>;
  readonly policiesDigest: string | undefined;
}

export type FactKind = 'b' | 't' | 'r' | 'p';

/** `b:<trust domain>`, `t:<trust domain>`, `r:<revocation ID>` or `p:<policy name>`. */
export type FactKey = `${FactKind}:${string}`;

export const factKinds: readonly FactKind[] = ['b', 't', 'r', 'p'];

export function kindOf(key: FactKey): FactKind {
  const kind = key[0];
  return kind === 'b' || kind === 't' || kind === 'p' ? kind : 'r';
}

export function idOf(key: FactKey): string {
  return key.slice(2);
}

/** The facts in sections; those that stand as they stood are those of `before`. */
export function buildSections(
  { trust, revocations, policies }: Facts,
  before?: { readonly facts: Facts; readonly sections: FactSections },
): FactSections {
  const known = before?.sections;
  const hasTrust = known !== undefined && before?.facts.trust === trust;
  const hasRevocations = known !== undefined && before?.facts.revocations === revocations;
  return {
    b: hasTrust
      ? known.b
      : new Map([trust.own, ...trust.federated.values()].map((b) => [b.trustDomain.name, b])),
    t: trust.terms,
    r: hasRevocations ? known.r : new Map(revocations.map((r) => [r.id, r])),
    p: policies?.texts ?? noTexts,
    policiesDigest: policies?.digest,
  };
}

const noTexts: ReadonlyMap<string, string> = new Map();

/** What came, went or became another. */
export function* changedKeys(before: FactSections, after: FactSections): Generator<FactKey> {
  for (const kind of factKinds) {
    const old: ReadonlyMap<string, unknown> = before[kind];
    const current: ReadonlyMap<string, unknown> = after[kind];
    if (old === current) continue;
    for (const [id, value] of current) if (old.get(id) !== value) yield `${kind}:${id}`;
    for (const id of old.keys()) if (!current.has(id)) yield `${kind}:${id}`;
  }
}

export function* allKeys(sections: FactSections): Generator<FactKey> {
  for (const kind of factKinds) {
    for (const id of sections[kind].keys()) yield `${kind}:${id}`;
  }
}
