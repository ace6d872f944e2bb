import type {
  Bundle,
  FederationTerms,
  PolicyFile,
  PolicyTexts,
  Revocation,
} from '../spiffe/index.ts';
import { itemIdOf, policiesKey } from '../sync/index.ts';
import type { Facts } from './facts.ts';
import { type FollowedRevocations, revocationChanges } from './followed-revocations.ts';

/** Values by ID, for each kind of fact: bundles and terms by trust domain, revocations by ID, policy files by their digest. Immutable but for `r`, which is as it was last followed. */
export interface FactSections {
  readonly b: ReadonlyMap<string, Bundle>;
  readonly t: ReadonlyMap<string, FederationTerms>;
  readonly r: ReadonlyMap<string, Revocation>;
  /** Those of `r`, at the time. */
  readonly revocations: readonly Revocation[];
  readonly f: ReadonlyMap<string, PolicyFile>;
  readonly p: ReadonlyMap<string, PolicyTexts>;
}

export type FactKind = 'b' | 't' | 'r' | 'f' | 'p';

/** `b:<trust domain>`, `t:<trust domain>`, `r:<revocation ID>`, `f:<SHA-256 of a policy file>` or `p:head`. */
export type FactKey = `${FactKind}:${string}`;

const HEAD = itemIdOf(policiesKey);

const factKinds: readonly FactKind[] = ['b', 't', 'r', 'f', 'p'];

export function kindOf(key: FactKey): FactKind {
  const kind = key[0];
  return kind === 'b' || kind === 't' || kind === 'f' || kind === 'p' ? kind : 'r';
}

export function idOf(key: FactKey): string {
  return key.slice(2);
}

/** The facts in sections; those that stand as they stood are those of `before`. */
export function buildSections(
  { trust, revocations, policies }: Facts,
  followed: FollowedRevocations,
  before?: { readonly told: Facts; readonly sections: FactSections },
): FactSections {
  followed.follow(revocations);
  const known = before?.sections;
  const hasTrust = known !== undefined && before?.told.trust === trust;
  const hasPolicies = known !== undefined && before?.told.policies === policies;
  return {
    b: hasTrust
      ? known.b
      : new Map([trust.own, ...trust.federated.values()].map((b) => [b.trustDomain.name, b])),
    t: trust.terms,
    r: followed.byId,
    revocations,
    f: hasPolicies ? known.f : new Map(policies?.files.map((file) => [file.sha256, file])),
    p: hasPolicies ? known.p : new Map(policies && [[HEAD, policies]]),
  };
}

/** What came, went or became another. */
export function changedKeys(before: FactSections, after: FactSections): readonly FactKey[] {
  const revoked = revocationChanges(before.revocations, after.revocations);
  return factKinds.flatMap((kind) =>
    kind === 'r'
      ? [...revoked.keys()].map((id) => keyOf(kind, id))
      : changedIn(kind, before[kind], after[kind]),
  );
}

type Section = ReadonlyMap<string, unknown>;

function changedIn(kind: FactKind, old: Section, current: Section): FactKey[] {
  if (old === current) return [];
  const keys: FactKey[] = [];
  for (const [id, value] of current) {
    // A file's ID is what is in it.
    const isSame = kind === 'f' ? old.has(id) : old.get(id) === value;
    if (!isSame) keys.push(keyOf(kind, id));
  }
  for (const id of old.keys()) if (!current.has(id)) keys.push(keyOf(kind, id));
  return keys;
}

function keyOf(kind: FactKind, id: string): FactKey {
  return `${kind}:${id}`;
}

export function* allKeys(sections: FactSections): Generator<FactKey> {
  for (const kind of factKinds) {
    for (const id of sections[kind].keys()) yield keyOf(kind, id);
  }
}
