import {
  type EndpointProfile,
  type FederationRelationship,
  parseEndpointSpiffeId,
  parseEndpointUrl,
  plainTerms,
  type RelationshipEdit,
} from '../federation/index.ts';
import { type Bundle, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { buildBundleMessage, parseBundleMessage, type WireBundle } from '../sync/index.ts';
import { parseForeignDomain, parseTrustDomain } from './trust-domain-field.ts';

/** spire.api.types.FederationRelationship */
export interface WireRelationship {
  readonly trust_domain?: string;
  readonly bundle_endpoint_url?: string;
  readonly https_web?: object | null;
  readonly https_spiffe?: { readonly endpoint_spiffe_id?: string } | null;
  readonly trust_domain_bundle?: WireBundle | null;
}

/** spire.api.types.FederationRelationshipMask; undefined for all fields. */
export type RelationshipMask =
  | {
      readonly bundle_endpoint_url?: boolean;
      readonly bundle_endpoint_profile?: boolean;
      readonly trust_domain_bundle?: boolean;
    }
  | null
  | undefined;

/** A relationship with the bundle to begin with, if one was sent. */
export interface RelationshipDraft {
  readonly relationship: FederationRelationship;
  readonly bundle: Bundle | undefined;
}

/** What an update sets of a relationship, and the bundle it brings. */
export interface RelationshipChange {
  readonly trustDomain: TrustDomain;
  readonly edit: RelationshipEdit;
  readonly bundle: Bundle | undefined;
}

/** @throws TrustplaneError ERR_API_REQUEST, ERR_RELATIONSHIP, ERR_SYNC_BUNDLE */
export function parseRelationship(wire: WireRelationship, own: TrustDomain): RelationshipDraft {
  const trustDomain = parseForeignDomain(wire.trust_domain, 'trust_domain', own);
  return {
    relationship: {
      trustDomain,
      bundleEndpointUrl: parseEndpointUrl(wire.bundle_endpoint_url ?? ''),
      profile: parseProfile(wire),
      ...plainTerms,
    },
    bundle: parseInitialBundle(wire, trustDomain),
  };
}

/** What an update sets: the fields of the mask. @throws as `parseRelationship` */
export function parseRelationshipEdit(
  wire: WireRelationship,
  mask: RelationshipMask,
  own: TrustDomain,
): RelationshipChange {
  const isMeant = (field: keyof NonNullable<RelationshipMask>): boolean => mask?.[field] ?? !mask;
  const trustDomain = parseForeignDomain(wire.trust_domain, 'trust_domain', own);
  const edit: RelationshipEdit = {
    ...(isMeant('bundle_endpoint_url') && {
      bundleEndpointUrl: parseEndpointUrl(wire.bundle_endpoint_url ?? ''),
    }),
    ...(isMeant('bundle_endpoint_profile') && { profile: parseProfile(wire) }),
  };
  const bundle = isMeant('trust_domain_bundle') ? parseInitialBundle(wire, trustDomain) : undefined;
  return { trustDomain, edit, bundle };
}

/** The masked fields of a relationship as a message. */
export function buildRelationship(
  { trustDomain, bundleEndpointUrl, profile }: FederationRelationship,
  bundle: Bundle | undefined,
  mask: RelationshipMask,
): WireRelationship {
  const isMeant = (field: keyof NonNullable<RelationshipMask>): boolean => mask?.[field] ?? !mask;
  return {
    trust_domain: trustDomain.name,
    ...(isMeant('bundle_endpoint_url') && { bundle_endpoint_url: bundleEndpointUrl }),
    ...(isMeant('bundle_endpoint_profile') && buildProfile(profile)),
    ...(isMeant('trust_domain_bundle') &&
      bundle !== undefined && { trust_domain_bundle: buildBundleMessage(bundle) }),
  };
}

function parseProfile({ https_web, https_spiffe }: WireRelationship): EndpointProfile {
  if (https_spiffe) {
    const endpointSpiffeId = parseEndpointSpiffeId(https_spiffe.endpoint_spiffe_id ?? '');
    return { type: 'https_spiffe', endpointSpiffeId };
  }
  if (https_web) return { type: 'https_web' };
  const message = 'bundle_endpoint_profile: expected https_web or https_spiffe; got none';
  throw new TrustplaneError('ERR_RELATIONSHIP', message);
}

function buildProfile(profile: EndpointProfile) {
  if (profile.type === 'https_web') return { https_web: {} };
  return { https_spiffe: { endpoint_spiffe_id: profile.endpointSpiffeId.toString() } };
}

function parseInitialBundle(
  { trust_domain_bundle: wire }: WireRelationship,
  trustDomain: TrustDomain,
): Bundle | undefined {
  if (!wire) return undefined;
  const { name } = parseTrustDomain(wire.trust_domain, 'trust_domain_bundle.trust_domain');
  if (name === trustDomain.name) return parseBundleMessage({ ...wire, trust_domain: name });
  const message = `trust_domain_bundle: expected the bundle of ${trustDomain.name}; got that of ${name}`;
  throw new TrustplaneError('ERR_API_REQUEST', message);
}
