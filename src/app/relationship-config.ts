import {
  type EndpointProfile,
  type FederationRelationship,
  parseAccept,
  parseEndpointSpiffeId,
  parsePublisherId,
  plainTerms,
} from '../federation/index.ts';
import { messageOf, TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { RelationshipFile } from './relationship-schema.ts';

/** A relationship that the configuration keeps, but for what its files hold. */
export interface RelationshipConfig {
  readonly relationship: FederationRelationship;
  readonly trustBundleFile: string | undefined;
  readonly webCaFile: string | undefined;
}

/** @throws TrustplaneError ERR_CONFIG for what contradicts itself */
export function buildRelationships(
  files: readonly RelationshipFile[],
  own: TrustDomain,
): readonly RelationshipConfig[] {
  const names = new Set<string>();
  return files.map((file, index) => {
    const what = `federation.relationships.${index}`;
    try {
      if (file.trustDomain === own.name) throw new Error('its trust domain is the own one');
      if (names.has(file.trustDomain)) throw new Error('its trust domain stands there twice');
      names.add(file.trustDomain);
      return buildRelationship(file);
    } catch (cause) {
      const message = `${what} (${file.trustDomain}): ${messageOf(cause)}`;
      throw new TrustplaneError('ERR_CONFIG', message, { cause });
    }
  });
}

function buildRelationship(file: RelationshipFile): RelationshipConfig {
  const { bundleEndpointUrl, accept = [], publisherId, awaitAck = false } = file;
  const { trustBundleFile, webCaFile } = file;
  const trustDomain = TrustDomain.parse(file.trustDomain);
  const profile = buildProfile(file);
  if (webCaFile !== undefined && profile.type === 'https_spiffe') {
    throw new Error('webCaFile says nothing with https_spiffe');
  }
  const relationship = {
    ...plainTerms,
    trustDomain,
    bundleEndpointUrl,
    profile,
    accept: parseAccept(accept, trustDomain),
    publisherId: publisherId === undefined ? undefined : parsePublisherId(publisherId),
    awaitAck,
    source: 'config' as const,
  };
  return { relationship, trustBundleFile, webCaFile };
}

function buildProfile({
  bundleEndpointProfile: type,
  endpointSpiffeId,
}: RelationshipFile): EndpointProfile {
  if ((type === 'https_spiffe') !== (endpointSpiffeId !== undefined)) {
    throw new Error('https_spiffe and endpointSpiffeId go together');
  }
  if (endpointSpiffeId === undefined) return { type: 'https_web' };
  return { type: 'https_spiffe', endpointSpiffeId: parseEndpointSpiffeId(endpointSpiffeId) };
}
