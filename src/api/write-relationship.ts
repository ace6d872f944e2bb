import {
  type FederationRelationship,
  type Relationships,
  requireChangeable,
} from '../federation/index.ts';
import type { Log } from '../ops/index.ts';
import { messageOf } from '../spiffe/index.ts';
import type { ForeignBundleStore } from './federated-bundle-methods.ts';
import type { RelationshipChange, RelationshipDraft } from './relationship-messages.ts';

export interface RelationshipWrites {
  readonly relationships: Pick<Relationships, 'require' | 'create' | 'update' | 'delete'>;
  readonly foreignBundles: Pick<ForeignBundleStore, 'set'>;
  readonly log: Log;
}

/** A relationship whose bundle is refused is not made. @throws TrustplaneError as `Relationships.create` and `ForeignBundles.set` */
export async function createRelationship(
  { relationships, foreignBundles, log }: RelationshipWrites,
  { relationship, bundle }: RelationshipDraft,
): Promise<FederationRelationship> {
  const created = await relationships.create(relationship);
  try {
    if (bundle !== undefined) await foreignBundles.set(bundle);
  } catch (error) {
    await relationships.delete(relationship.trustDomain).catch((cause: unknown) => {
      const fields = { ...factsOf(relationship), error: messageOf(cause) };
      log.error(fields, 'a relationship without its first bundle is left');
    });
    throw error;
  }
  log.info(factsOf(created), 'federation relationship created');
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
