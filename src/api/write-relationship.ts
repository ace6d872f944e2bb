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
  readonly relationships: Pick<Relationships, 'get' | 'require' | 'create' | 'update'>;
  readonly foreignBundles: Pick<ForeignBundleStore, 'get' | 'set' | 'delete'>;
  readonly log: Log;
}

/**
 * The bundle comes first: whoever fetches the next one needs it. One that is refused leaves no relationship, and a
 * relationship that is refused no bundle that was not there.
 * @throws TrustplaneError as `Relationships.create` and `ForeignBundles.set`
 */
export async function createRelationship(
  { relationships, foreignBundles, log }: RelationshipWrites,
  { relationship, bundle }: RelationshipDraft,
): Promise<FederationRelationship> {
  const { trustDomain } = relationship;
  const isAbsent = (): boolean => relationships.get(trustDomain) === undefined;
  const isFirst = bundle !== undefined && isAbsent();
  const before = foreignBundles.get(trustDomain);
  if (isFirst) await foreignBundles.set(bundle);
  try {
    const created = await relationships.create(relationship);
    log.info(factsOf(created), 'federation relationship created');
    return created;
  } catch (error) {
    if (isFirst && before === undefined && isAbsent()) await withdraw(foreignBundles, trustDomain);
    throw error;
  }
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
