import { type ForeignBundles, type Relationships, withdraw } from '../federation/index.ts';
import { type Bundle, TrustplaneError } from '../spiffe/index.ts';

/**
 * Stores a bundle that was heard, unless the relationship ended: whoever ended it meanwhile withdrew the
 * bundle either before, and then it goes again here, or afterwards.
 * @throws TrustplaneError ERR_RELATIONSHIP_NOT_FOUND, and those of `ForeignBundles.set`
 */
export async function takeBundle(
  {
    foreignBundles,
    relationships,
  }: {
    readonly foreignBundles: Pick<ForeignBundles, 'set' | 'delete'>;
    readonly relationships: Pick<Relationships, 'isStored'>;
  },
  bundle: Bundle,
): Promise<void> {
  const { trustDomain } = bundle;
  await foreignBundles.set(bundle);
  if (await relationships.isStored(trustDomain)) return;
  await withdraw(foreignBundles, trustDomain);
  const message = `there is no relationship with ${trustDomain.name}`;
  throw new TrustplaneError('ERR_RELATIONSHIP_NOT_FOUND', message);
}
