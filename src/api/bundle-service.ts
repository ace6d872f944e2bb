import type { OwnBundlePublisher } from '../federation/index.ts';
import { type TrustMapSource, TrustplaneError } from '../spiffe/index.ts';
import {
  type BundleMask,
  buildBundleMessage,
  parseBundleMessage,
  type WireBundle,
} from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import type { Authorization } from './authorization.ts';
import {
  type DownstreamJwtOptions,
  type PublishJwtRequest,
  publishDownstreamJwt,
} from './downstream-jwt.ts';
import {
  createFederatedBundleMethods,
  type FederatedBundleOptions,
} from './federated-bundle-methods.ts';
import { unary } from './unary.ts';

export interface BundleServiceOptions extends FederatedBundleOptions, DownstreamJwtOptions {
  readonly trustMap: TrustMapSource;
  readonly authorization: Pick<Authorization, 'downstreamOf' | 'isOfAgent'>;
  /** Of what administrators add to the own bundle. */
  readonly ownBundle: Pick<OwnBundlePublisher, 'publish' | 'publishJwt'>;
}

type AppendRequest = Pick<
  WireBundle,
  'x509_authorities' | 'jwt_authorities' | 'wit_authorities'
> & { readonly output_mask?: BundleMask };

/** spire.api.server.bundle.v1.Bundle; to be guarded. */
export function createBundleService(options: BundleServiceOptions): GrpcService {
  const { trustMap } = options;
  return {
    definition: loadService(
      'spire/api/server/bundle/v1/bundle.proto',
      'spire.api.server.bundle.v1.Bundle',
    ),
    implementation: {
      CountBundles: unary(() => ({ count: 1 + trustMap.current().federated.size })),
      GetBundle: unary((request: { output_mask?: BundleMask }, call) => {
        const downstream = options.authorization.downstreamOf(call);
        if (downstream !== undefined) options.onDownstream(downstream.spiffeId);
        return buildBundleMessage(trustMap.current().own, request.output_mask);
      }),
      AppendBundle: unary(async (request: AppendRequest) => {
        await append(options, request);
        return buildBundleMessage(trustMap.current().own, request.output_mask);
      }),
      PublishJWTAuthority: unary((request: PublishJwtRequest, call) =>
        publishDownstreamJwt(options, request, call),
      ),
      ...createFederatedBundleMethods(options),
    },
  };
}

/** All are judged before the first is added. */
async function append(
  { trustMap, ownBundle, log }: BundleServiceOptions,
  { x509_authorities = [], jwt_authorities = [], wit_authorities = [] }: AppendRequest,
): Promise<void> {
  if (wit_authorities.length > 0) {
    throw new TrustplaneError('ERR_API_UNIMPLEMENTED', 'WIT authorities are not kept yet');
  }
  const { name } = trustMap.current().own.trustDomain;
  const added = parseBundleMessage({ trust_domain: name, x509_authorities, jwt_authorities });
  for (const { certificate } of added.x509Authorities) await ownBundle.publish(certificate);
  for (const authority of added.jwtAuthorities) await ownBundle.publishJwt(authority);
  log.warn(
    { x509Authorities: x509_authorities.length, jwtAuthorities: jwt_authorities.length },
    'an administrator added authorities to the own bundle',
  );
}
