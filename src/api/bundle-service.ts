import type { TrustMapSource } from '../spiffe/index.ts';
import { type BundleMask, buildBundleMessage } from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { unary } from './unary.ts';

/** spire.api.server.bundle.v1.Bundle: the own bundle and how many are trusted. */
export function createBundleService(options: { readonly trustMap: TrustMapSource }): GrpcService {
  const { trustMap } = options;
  return {
    definition: loadService(
      'spire/api/server/bundle/v1/bundle.proto',
      'spire.api.server.bundle.v1.Bundle',
    ),
    implementation: {
      CountBundles: unary(() => ({ count: 1 + trustMap.current().federated.size })),
      GetBundle: unary((request: { output_mask?: BundleMask }) =>
        buildBundleMessage(trustMap.current().own, request.output_mask),
      ),
    },
  };
}
