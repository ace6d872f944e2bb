import type { TrustDomain } from '../spiffe/index.ts';
import type { DesiredRelationship } from './desired.ts';
import { readRelationshipDocument } from './relationship-document.ts';
import { readBundles, type SpireBundles } from './spire-bundles.ts';
import { readSpireList, spireRelationship } from './spire-json.ts';

export interface SpireRelationships extends SpireBundles {
  readonly relationships: readonly DesiredRelationship[];
}

/** The relationships out of `spire-server federation list -output json`, with their bundles. @throws TrustplaneError ERR_IMPORT */
export function parseSpireRelationships(
  text: string,
  name: string,
  own: TrustDomain,
): SpireRelationships {
  const read = readSpireList(text, 'federation_relationships', spireRelationship, name);
  const inside = read.flatMap(({ trust_domain_bundle: bundle }) => bundle ?? []);
  const { bundles, left } = readBundles(inside, name, own);
  const relationships: DesiredRelationship[] = [];
  const alsoLeft: string[] = [];
  for (const { trust_domain: trustDomain, bundle_endpoint_url, https_spiffe } of read) {
    const source = `${name}: the relationship with ${trustDomain}`;
    const result = readRelationshipDocument(
      {
        apiVersion: 'trustplane/v1',
        kind: 'FederationRelationship',
        trustDomain,
        bundleEndpointUrl: bundle_endpoint_url,
        bundleEndpointProfile: https_spiffe ? 'https_spiffe' : 'https_web',
        ...(https_spiffe && { endpointSpiffeId: https_spiffe.endpoint_spiffe_id }),
      },
      own,
    );
    if ('relationship' in result) relationships.push({ relationship: result.relationship, source });
    else alsoLeft.push(...result.faults.map(({ message }) => `${source}: ${message}`));
  }
  return { relationships, bundles, left: [...left, ...alsoLeft] };
}
