import { type Bundle, type SpiffeId, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { buildBundleMessage } from '../sync/index.ts';
import { dialAdmin } from './admin-call.ts';
import { failUnlessOk, type StatusMessage } from './item-status.ts';

const PAGE_SIZE = 500;
/** A relationship without its bundle. */
const output_mask = { bundle_endpoint_url: true, bundle_endpoint_profile: true };

/** What a relationship is to be; an update leaves what is not given. */
export interface RelationshipDraft {
  readonly trustDomain: TrustDomain;
  readonly bundleEndpointUrl?: string | undefined;
  readonly profile?: 'https_web' | 'https_spiffe' | undefined;
  /** With https_spiffe. */
  readonly endpointSpiffeId?: SpiffeId | undefined;
  readonly bundle?: Bundle | undefined;
}

/** A relationship as the command line prints it. */
export interface RelationshipView {
  readonly trustDomain: string;
  readonly bundleEndpointUrl: string;
  readonly bundleEndpointProfile: 'https_web' | 'https_spiffe';
  readonly endpointSpiffeId?: string;
}

/** The server API for federation relationships over the admin socket. Every call fails with a TrustplaneError. */
export interface FederationClient {
  create(draft: RelationshipDraft): Promise<RelationshipView>;
  update(draft: RelationshipDraft): Promise<RelationshipView>;
  get(trustDomain: TrustDomain): Promise<RelationshipView>;
  list(): Promise<readonly RelationshipView[]>;
  delete(trustDomains: readonly TrustDomain[]): Promise<void>;
  close(): void;
}

interface RelationshipMessage {
  readonly trust_domain?: string;
  readonly bundle_endpoint_url?: string;
  readonly https_spiffe?: { readonly endpoint_spiffe_id?: string } | null;
}

interface RelationshipResult {
  readonly status?: StatusMessage;
  readonly federation_relationship?: RelationshipMessage | null;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createFederationClient(socket: string): FederationClient {
  const { call, close } = dialAdmin(socket);
  const write = async (method: string, draft: RelationshipDraft, more: object = {}) =>
    only(
      await call('TrustDomain', method, {
        federation_relationships: [buildMessage(draft)],
        output_mask,
        ...more,
      }),
    );
  return {
    create: (draft) => write('BatchCreateFederationRelationship', draft),
    update: (draft) =>
      write('BatchUpdateFederationRelationship', draft, { input_mask: buildMask(draft) }),
    get: async ({ name }) => {
      const request = { trust_domain: name, output_mask };
      return buildView(await call('TrustDomain', 'GetFederationRelationship', request));
    },
    async list() {
      const views: RelationshipView[] = [];
      let token = '';
      do {
        const page = await call<{
          federation_relationships?: RelationshipMessage[];
          next_page_token?: string;
        }>('TrustDomain', 'ListFederationRelationships', {
          output_mask,
          page_size: PAGE_SIZE,
          page_token: token,
        });
        views.push(...(page.federation_relationships ?? []).map(buildView));
        token = page.next_page_token ?? '';
      } while (token !== '');
      return views;
    },
    async delete(trustDomains) {
      const { results = [] } = await call<{ results?: RelationshipResult[] }>(
        'TrustDomain',
        'BatchDeleteFederationRelationship',
        { trust_domains: trustDomains.map(({ name }) => name) },
      );
      for (const { status } of results) failUnlessOk(status);
    },
    close,
  };
}

function buildMessage(draft: RelationshipDraft): object {
  const { trustDomain, bundleEndpointUrl, profile, endpointSpiffeId, bundle } = draft;
  return {
    trust_domain: trustDomain.name,
    ...(bundleEndpointUrl !== undefined && { bundle_endpoint_url: bundleEndpointUrl }),
    ...(profile === 'https_web' && { https_web: {} }),
    ...(profile === 'https_spiffe' && {
      https_spiffe: { endpoint_spiffe_id: endpointSpiffeId?.toString() ?? '' },
    }),
    ...(bundle !== undefined && { trust_domain_bundle: buildBundleMessage(bundle) }),
  };
}

function buildMask({ bundleEndpointUrl, profile, bundle }: RelationshipDraft): object {
  return {
    bundle_endpoint_url: bundleEndpointUrl !== undefined,
    bundle_endpoint_profile: profile !== undefined,
    trust_domain_bundle: bundle !== undefined,
  };
}

function only({ results: [result] = [] }: { results?: RelationshipResult[] }): RelationshipView {
  failUnlessOk(result?.status);
  if (result?.federation_relationship) return buildView(result.federation_relationship);
  throw new TrustplaneError('ERR_REMOTE', 'the server answered without the relationship');
}

function buildView(message: RelationshipMessage): RelationshipView {
  const { trust_domain = '', bundle_endpoint_url = '', https_spiffe } = message;
  return {
    trustDomain: trust_domain,
    bundleEndpointUrl: bundle_endpoint_url,
    ...(https_spiffe
      ? {
          bundleEndpointProfile: 'https_spiffe',
          endpointSpiffeId: https_spiffe.endpoint_spiffe_id ?? '',
        }
      : { bundleEndpointProfile: 'https_web' }),
  };
}
