import type { PeerStatus } from '../federation/client/index.ts';
import {
  type FederationRelationship,
  publisherOf,
  type Relationships,
} from '../federation/index.ts';
import type { Log } from '../ops/index.ts';
import type { TrustDomain } from '../spiffe/index.ts';
import { buildSeconds } from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import type { ForeignBundleStore } from './federated-bundle-methods.ts';
import { parsePage, type WirePageRequest } from './page-request.ts';
import {
  buildRelationship,
  parseRelationship,
  parseRelationshipEdit,
  type RelationshipMask,
  type WireRelationship,
} from './relationship-messages.ts';
import {
  buildTerms,
  checkWebCa,
  parseTerms,
  type TermsMask,
  type WireTerms,
} from './terms-message.ts';
import { parseForeignDomain } from './trust-domain-field.ts';
import { unary } from './unary.ts';
import { createRelationship, updateRelationship } from './write-relationship.ts';

/** Everything but the bundle. */
const SHOWN: RelationshipMask = { bundle_endpoint_url: true, bundle_endpoint_profile: true };

export interface FederationServiceOptions {
  /** The own one. */
  readonly trustDomain: TrustDomain;
  readonly relationships: Pick<
    Relationships,
    'get' | 'require' | 'list' | 'create' | 'update' | 'delete'
  >;
  readonly foreignBundles: Pick<ForeignBundleStore, 'get' | 'set' | 'delete'>;
  /** Who fetches bundles. */
  readonly client: {
    refresh(trustDomain: TrustDomain): Promise<unknown>;
    status(trustDomain: TrustDomain): PeerStatus | undefined;
  };
  /** When the bundle was last heard over NATS, milliseconds since the epoch. */
  readonly heardAt: (trustDomain: TrustDomain) => number | undefined;
  readonly log: Log;
}

interface WriteRequest {
  readonly relationship?: WireRelationship | null;
  readonly input_mask?: RelationshipMask;
  readonly terms?: WireTerms | null;
  readonly terms_mask?: TermsMask | null;
}

/** trustplane.admin.v1.Federation */
export function createFederationService(options: FederationServiceOptions): GrpcService {
  const { trustDomain: own, relationships, client } = options;
  const foreign = (request: { readonly trust_domain?: string }): TrustDomain =>
    parseForeignDomain(request.trust_domain, 'trust_domain', own);
  const show = (relationship: FederationRelationship): object => buildView(options, relationship);
  return {
    definition: loadService(
      'trustplane/admin/v1/federation.proto',
      'trustplane.admin.v1.Federation',
    ),
    implementation: {
      CreateRelationship: unary(async (request: WriteRequest) =>
        show(await create(options, request)),
      ),
      UpdateRelationship: unary(async (request: WriteRequest) =>
        show(await update(options, request)),
      ),
      GetRelationship: unary((request: { trust_domain?: string }) =>
        show(relationships.require(foreign(request))),
      ),
      ListRelationships: unary((request: WirePageRequest) => {
        const page = relationships.list(parsePage(request, 'ERR_FEDERATION_PAGE'));
        return { relationships: page.items.map(show), next_page_token: page.nextPageToken };
      }),
      RefreshBundle: unary(async (request: { trust_domain?: string }) => {
        const trustDomain = foreign(request);
        await client.refresh(trustDomain);
        return show(relationships.require(trustDomain));
      }),
    },
  };
}

async function create(
  options: FederationServiceOptions,
  { relationship: wire, terms }: WriteRequest,
): Promise<FederationRelationship> {
  const draft = parseRelationship(wire ?? {}, options.trustDomain);
  const { trustDomain } = draft.relationship;
  const relationship = { ...draft.relationship, ...parseTerms(terms ?? {}, trustDomain) };
  checkWebCa(relationship);
  return await createRelationship(options, { ...draft, relationship });
}

async function update(
  options: FederationServiceOptions,
  { relationship: wire, input_mask, terms, terms_mask }: WriteRequest,
): Promise<FederationRelationship> {
  const change = parseRelationshipEdit(wire ?? {}, input_mask ?? {}, options.trustDomain);
  const { trustDomain } = change;
  const edit = { ...change.edit, ...parseTerms(terms ?? {}, trustDomain, terms_mask ?? {}) };
  checkWebCa({ ...options.relationships.require(trustDomain), ...edit });
  return await updateRelationship(options, { ...change, edit });
}

function buildView(
  { foreignBundles, client, heardAt }: FederationServiceOptions,
  relationship: FederationRelationship,
): object {
  const { trustDomain, source } = relationship;
  const bundle = foreignBundles.get(trustDomain);
  return {
    relationship: buildRelationship(relationship, undefined, SHOWN),
    terms: buildTerms(relationship),
    configured: source === 'config',
    publisher_id: publisherOf(relationship).toString(),
    last_heard_at: instant(heardAt(trustDomain)),
    fetches: {
      ...buildFetches(client.status(trustDomain)),
      has_bundle: bundle !== undefined,
      sequence_number: bundle?.sequenceNumber?.toString() ?? '',
    },
  };
}

function buildFetches(status: PeerStatus | undefined): object {
  return {
    last_attempt_at: instant(status?.lastAttemptAt),
    last_success_at: instant(status?.lastSuccessAt),
    next_attempt_at: instant(status?.nextAttemptAt),
    error_code: status?.lastError?.code ?? '',
    error: status?.lastError?.message ?? '',
    etag: status?.etag ?? '',
    chain: status?.chain.map(({ name, serialNumber, notAfter, fingerprint }) => ({
      name,
      serial_number: serialNumber,
      not_after: instant(notAfter),
      fingerprint,
    })),
  };
}

function instant(at: number | undefined): string {
  return at === undefined ? '0' : buildSeconds(at);
}
