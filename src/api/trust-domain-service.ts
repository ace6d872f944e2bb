import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import {
  endRelationship,
  type FederationRelationship,
  type Relationships,
  requireChangeable,
} from '../federation/index.ts';
import type { Log } from '../ops/index.ts';
import type { TrustDomain } from '../spiffe/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { eachItem } from './each-item.ts';
import type { ForeignBundleStore } from './federated-bundle-methods.ts';
import { parsePage, type WirePageRequest } from './page-request.ts';
import {
  buildRelationship,
  parseRelationship,
  parseRelationshipEdit,
  type RelationshipMask,
  type WireRelationship,
} from './relationship-messages.ts';
import { parseForeignDomain } from './trust-domain-field.ts';
import { unary } from './unary.ts';
import { okStatus, parseBatch, type WireStatus } from './wire-values.ts';
import { createRelationship, updateRelationship } from './write-relationship.ts';

const MAX_BATCH = 1_000;

export interface TrustDomainServiceOptions {
  /** The own one. */
  readonly trustDomain: TrustDomain;
  readonly relationships: Pick<
    Relationships,
    'get' | 'require' | 'list' | 'create' | 'update' | 'delete'
  >;
  readonly foreignBundles: Pick<ForeignBundleStore, 'get' | 'set' | 'delete'>;
  /** Fetches the bundle of a trust domain now. */
  readonly refresh: (trustDomain: TrustDomain) => Promise<unknown>;
  readonly log: Log;
}

interface RelationshipResult {
  readonly status: WireStatus;
  readonly federation_relationship?: WireRelationship;
}

interface BatchRequest {
  readonly federation_relationships?: readonly WireRelationship[];
  readonly input_mask?: RelationshipMask;
  readonly output_mask?: RelationshipMask;
}

/** spire.api.server.trustdomain.v1.TrustDomain; to be guarded. */
export function createTrustDomainService(options: TrustDomainServiceOptions): GrpcService {
  return {
    definition: loadService(
      'spire/api/server/trustdomain/v1/trustdomain.proto',
      'spire.api.server.trustdomain.v1.TrustDomain',
    ),
    implementation: { ...readingMethods(options), ...writingMethods(options) },
  };
}

function readingMethods(options: TrustDomainServiceOptions): UntypedServiceImplementation {
  const { trustDomain: own, relationships, foreignBundles } = options;
  const build = (relationship: FederationRelationship, mask: RelationshipMask): WireRelationship =>
    buildRelationship(relationship, foreignBundles.get(relationship.trustDomain), mask);
  return {
    ListFederationRelationships: unary(
      (request: WirePageRequest & { output_mask?: RelationshipMask }) => {
        const page = relationships.list(parsePage(request, 'ERR_FEDERATION_PAGE'));
        return {
          federation_relationships: page.items.map((item) => build(item, request.output_mask)),
          next_page_token: page.nextPageToken,
        };
      },
    ),
    GetFederationRelationship: unary(
      (request: { trust_domain?: string; output_mask?: RelationshipMask }) => {
        const trustDomain = parseForeignDomain(request.trust_domain, 'trust_domain', own);
        return build(relationships.require(trustDomain), request.output_mask);
      },
    ),
    RefreshBundle: unary(async ({ trust_domain }: { trust_domain?: string }) => {
      await options.refresh(parseForeignDomain(trust_domain, 'trust_domain', own));
      return {};
    }),
  };
}

function writingMethods(options: TrustDomainServiceOptions): UntypedServiceImplementation {
  const { trustDomain: own, foreignBundles, log } = options;

  /** One after the other: a batch may name one trust domain twice. */
  const batch = (
    write: (wire: WireRelationship, mask: RelationshipMask) => Promise<FederationRelationship>,
  ) =>
    unary(async ({ federation_relationships, input_mask, output_mask }: BatchRequest) => {
      const items = parseBatch(federation_relationships, MAX_BATCH, 'federation_relationships');
      const work = async (wire: WireRelationship): Promise<RelationshipResult> => {
        const relationship = await write(wire, input_mask);
        const bundle = foreignBundles.get(relationship.trustDomain);
        const message = buildRelationship(relationship, bundle, output_mask);
        return { status: okStatus, federation_relationship: message };
      };
      return { results: await eachItem(items, 1, log, work) };
    });

  return {
    BatchCreateFederationRelationship: batch((wire) =>
      createRelationship(options, parseRelationship(wire, own)),
    ),
    BatchUpdateFederationRelationship: batch((wire, mask) =>
      updateRelationship(options, parseRelationshipEdit(wire, mask, own)),
    ),
    BatchDeleteFederationRelationship: unary(
      async ({ trust_domains }: { trust_domains?: readonly string[] }) => {
        const names = parseBatch(trust_domains, MAX_BATCH, 'trust_domains');
        const results = await eachItem(names, 1, log, async (name) => {
          const trustDomain = parseForeignDomain(name, 'trust_domains', own);
          requireChangeable(options.relationships.get(trustDomain));
          await endRelationship(options, trustDomain);
          log.info({ trustDomain: trustDomain.name }, 'federation relationship and bundle deleted');
          return { status: okStatus };
        });
        return {
          results: results.map((result, i) => ({ ...result, trust_domain: names[i] ?? '' })),
        };
      },
    ),
  };
}
