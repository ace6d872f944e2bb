import { type Bundle, serializeJwks } from '../spiffe/index.ts';
import { oncePerUpdate, type UpdateEncoder } from './update-encoder.ts';

/**
 * FetchJWTBundles' message (Workload API §6.2.2): the JWT keys of the own trust domain and of the
 * federated ones, as a JWK Set each; one without keys trusts nobody.
 */
export function createJwtBundlesEncoder(): UpdateEncoder {
  return oncePerUpdate('JWTBundlesResponse', ({ bundle, federatedBundles }) => ({
    bundles: Object.fromEntries(
      [bundle, ...federatedBundles.values()].map((each) => [each.trustDomain.id, jwksOf(each)]),
    ),
  }));
}

const documents = new WeakMap<Bundle, Buffer>();

/** Once per bundle: most updates bring other certificates only. */
function jwksOf(bundle: Bundle): Buffer {
  let document = documents.get(bundle);
  if (document === undefined) {
    document = Buffer.from(serializeJwks(bundle));
    documents.set(bundle, document);
  }
  return document;
}
