import { type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { ForeignBundles } from './foreign-bundles.ts';
import type { FederationRelationship } from './relationship.ts';
import type { Relationships } from './relationships.ts';

/**
 * Ends a relationship with its bundle (SPIFFE Federation §6.3). Trust is withdrawn first: after a crash
 * the relationship is still there to be ended. And again at the end: a bundle may have come meanwhile.
 * @throws TrustplaneError ERR_RELATIONSHIP_NOT_FOUND, ERR_FEDERATION_*, ERR_STORE_*
 */
export async function endRelationship(
  {
    relationships,
    foreignBundles,
  }: {
    readonly relationships: Pick<Relationships, 'get' | 'delete'>;
    readonly foreignBundles: Pick<ForeignBundles, 'delete'>;
  },
  trustDomain: TrustDomain,
): Promise<void> {
  if (relationships.get(trustDomain) !== undefined) await withdraw(foreignBundles, trustDomain);
  await relationships.delete(trustDomain);
  await withdraw(foreignBundles, trustDomain);
}

/** Nothing of the trust domain is trusted from then on. @throws TrustplaneError ERR_FEDERATION_*, ERR_STORE_* */
export async function withdraw(
  foreignBundles: Pick<ForeignBundles, 'delete'>,
  trustDomain: TrustDomain,
): Promise<void> {
  await foreignBundles.delete(trustDomain).catch((error: unknown) => {
    if (!(error instanceof TrustplaneError) || error.code !== 'ERR_BUNDLE_NOT_FOUND') throw error;
  });
}

/** @throws TrustplaneError ERR_RELATIONSHIP_CONFIGURED for one that the configuration keeps */
export function requireChangeable(relationship: FederationRelationship | undefined): void {
  if (relationship?.source !== 'config') return;
  throw new TrustplaneError(
    'ERR_RELATIONSHIP_CONFIGURED',
    `the relationship with ${relationship.trustDomain.name} stands in the configuration (federation.relationships); change it there`,
  );
}
