import type { TrustDomain } from '../spiffe/index.ts';
import { type BundleEndpointConfig, buildBundleEndpoint } from './bundle-endpoint-config.ts';
import type { FederationFile } from './federation-schema.ts';
import { buildNats, type NatsConfig } from './nats-config.ts';
import { buildRelationships, type RelationshipConfig } from './relationship-config.ts';

/** How this server and other trust domains come to know each other's bundles. */
export interface FederationConfig {
  /** Undefined: none is served. */
  readonly bundleEndpoint: BundleEndpointConfig | undefined;
  readonly relationships: readonly RelationshipConfig[];
  /** Undefined: bundles are not broadcast. Agents connect too. */
  readonly nats: NatsConfig | undefined;
  /** Of foreign endpoints; 0: none is followed. */
  readonly maxRedirects: number;
}

/** @throws TrustplaneError ERR_CONFIG for what contradicts itself */
export function buildFederation(
  file: FederationFile | undefined,
  own: TrustDomain,
): FederationConfig {
  const endpoint = file?.bundleEndpoint;
  return {
    bundleEndpoint: endpoint && buildBundleEndpoint(endpoint),
    relationships: buildRelationships(file?.relationships ?? [], own),
    nats: file?.nats && buildNats(file.nats),
    maxRedirects: file?.maxRedirects ?? 3,
  };
}
