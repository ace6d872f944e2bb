import { serializeJwks } from '../spiffe/index.ts';
import { oncePerUpdate, type UpdateEncoder } from './update-encoder.ts';

/**
 * FetchJWTBundles' message (Workload API §6.2.2): the JWT keys of the own trust domain and of the
 * federated ones, as a JWK Set each; one without keys trusts nobody.
 */
export function createJwtBundlesEncoder(): UpdateEncoder {
  return oncePerUpdate('JWTBundlesResponse', {
    build: () => ({}),
    mapField: 'bundles',
    bundlesOf: ({ bundle, federatedBundles }) => [bundle, ...federatedBundles.values()],
    valueOf: (bundle) => Buffer.from(serializeJwks(bundle)),
  });
}
