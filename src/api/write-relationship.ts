import {
  type FederationRelationship,
  type Relationships,
  requireChangeable,
  withdraw,
} from '../federation/index.ts';
import type { Log } from '../ops/index.ts';
import type { ForeignBundleStore } from './federated-bundle-methods.ts';
import type { RelationshipChange, RelationshipDraft } from './relationship-messages.ts';

export interface RelationshipWrites {
  readonly relationships: Pick<Relationships, 'get' | 'require' | 'create' | 'update' | 'delete'>;
  readonly foreignBundles: Pick<ForeignBundleStore, 'get' | 'set' | 'delete'>;
  readonly log: Log;
}

/**
 * Makes a relationship with its first bundle, or neither.
 * @throws TrustplaneError as `Relationships.create` and `ForeignBundles.set`
 */
export async function createRelationship(
  writes: RelationshipWrites,
  draft: RelationshipDraft,
): Promise<FederationRelationship> {
  const isScoped = draft.relationship.accept.length > 0;
  const created = await (isScoped ? createTermsFirst : createBundleFirst)(writes, draft);
  writes.log.info(factsOf(created), 'federation relationship created');
  return created;
}

/** Whoever fetches the next bundle needs this one. */
async function createBundleFirst(
  { relationships, foreignBundles }: RelationshipWrites,
  { relationship, bundle }: RelationshipDraft,
): Promise<FederationRelationship> {
  const { trustDomain } = relationship;
  const isAbsent = (): boolean => relationships.get(trustDomain) === undefined;
  const isFirst = bundle !== undefined && isAbsent();
  const before = foreignBundles.get(trustDomain);
  if (isFirst) await foreignBundles.set(bundle);
  try {
    return await relationships.create(relationship);
  } catch (error) {
    if (isFirst && before === undefined && isAbsent()) await withdraw(foreignBundles, trustDomain);
    throw error;
  }
}

/** Without its terms a bundle would be trusted whole, for a moment, or after a crash for good. */
async function createTermsFirst(
  { relationships, foreignBundles }: RelationshipWrites,
  { relationship, bundle }: RelationshipDraft,
): Promise<FederationRelationship> {
  const created = await relationships.create(relationship);
  try {
    if (bundle !== undefined) await foreignBundles.set(bundle);
  } catch (error) {
    // Why the bundle is refused says more than that somebody else ended the relationship.
    await relationships.delete(relationship.trustDomain).catch(() => {});
    throw error;
  }
  return created;
}

/** @throws TrustplaneError ERR_RELATIONSHIP_CONFIGURED, … as `Relationships.update` and `ForeignBundles.set` */
export async function updateRelationship(
  { relationships, foreignBundles, log }: RelationshipWrites,
  { trustDomain, edit, bundle }: RelationshipChange,
): Promise<FederationRelationship> {
  requireChangeable(relationships.require(trustDomain));
  if (bundle !== undefined) await foreignBundles.set(bundle);
  const updated = await relationships.update(trustDomain, edit);
  log.info(factsOf(updated), 'federation relationship updated');
  return updated;
}

function factsOf({ trustDomain, bundleEndpointUrl, profile }: FederationRelationship) {
  return { trustDomain: trustDomain.name, bundleEndpointUrl, profile: profile.type };
}
