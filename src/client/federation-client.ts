import type { Bundle, SpiffeId, TrustDomain } from '../spiffe/index.ts';
import { buildBundleMessage } from '../sync/index.ts';
import { dialAdmin } from './admin-call.ts';
import { failUnlessOk, type StatusMessage } from './item-status.ts';
import { buildView, type RelationshipMessage, type RelationshipView } from './relationship-view.ts';

const PAGE_SIZE = 500;
/** Somewhat more than a fetch may take. */
const REFRESH_TIMEOUT_MS = 40_000;

/** What a relationship is to be; an update leaves what is not given. */
export interface RelationshipDraft {
  readonly trustDomain: TrustDomain;
  readonly bundleEndpointUrl?: string | undefined;
  readonly profile?: 'https_web' | 'https_spiffe' | undefined;
  /** With https_spiffe. */
  readonly endpointSpiffeId?: SpiffeId | undefined;
  readonly bundle?: Bundle | undefined;
  /** Empty: all IDs. */
  readonly accept?: readonly string[] | undefined;
  /** Empty: the default. */
  readonly publisherId?: string | undefined;
  readonly awaitAck?: boolean | undefined;
  /** PEM, with https_web; empty: what the machine trusts. */
  readonly webCa?: string | undefined;
}

/** The server API for federation relationships over the admin socket. Every call fails with a TrustplaneError. */
export interface FederationClient {
  create(draft: RelationshipDraft): Promise<RelationshipView>;
  update(draft: RelationshipDraft): Promise<RelationshipView>;
  get(trustDomain: TrustDomain): Promise<RelationshipView>;
  list(): Promise<readonly RelationshipView[]>;
  delete(trustDomains: readonly TrustDomain[]): Promise<void>;
  /** Has the bundle fetched now. */
  refresh(trustDomain: TrustDomain): Promise<RelationshipView>;
  close(): void;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createFederationClient(socket: string): FederationClient {
  const { call, close } = dialAdmin(socket);
  const view = async (method: string, request: object, timeoutMs?: number) =>
    buildView(await call<RelationshipMessage>('Federation', method, request, timeoutMs));
  return {
    create: (draft) => view('CreateRelationship', buildRequest(draft)),
    update: (draft) => view('UpdateRelationship', { ...buildRequest(draft), ...buildMasks(draft) }),
    get: ({ name }) => view('GetRelationship', { trust_domain: name }),
    async list() {
      const views: RelationshipView[] = [];
      let token = '';
      do {
        const page = await call<{
          relationships?: RelationshipMessage[];
          next_page_token?: string;
        }>('Federation', 'ListRelationships', { page_size: PAGE_SIZE, page_token: token });
        views.push(...(page.relationships ?? []).map(buildView));
        token = page.next_page_token ?? '';
      } while (token !== '');
      return views;
    },
    async delete(trustDomains) {
      const { results = [] } = await call<{ results?: { readonly status?: StatusMessage }[] }>(
        'TrustDomain',
        'BatchDeleteFederationRelationship',
        { trust_domains: trustDomains.map(({ name }) => name) },
      );
      for (const { status } of results) failUnlessOk(status);
    },
    refresh: ({ name }) => view('RefreshBundle', { trust_domain: name }, REFRESH_TIMEOUT_MS),
    close,
  };
}

/** `relationship` and `terms` of trustplane.admin.v1. */
export function buildRequest(draft: RelationshipDraft): object {
  const { trustDomain, bundleEndpointUrl, profile, endpointSpiffeId, bundle } = draft;
  const { accept, publisherId, awaitAck, webCa } = draft;
  return {
    relationship: {
      trust_domain: trustDomain.name,
      ...(bundleEndpointUrl !== undefined && { bundle_endpoint_url: bundleEndpointUrl }),
      ...(profile === 'https_web' && { https_web: {} }),
      ...(profile === 'https_spiffe' && {
        https_spiffe: { endpoint_spiffe_id: endpointSpiffeId?.toString() ?? '' },
      }),
      ...(bundle !== undefined && { trust_domain_bundle: buildBundleMessage(bundle) }),
    },
    terms: { accept, publisher_id: publisherId, await_ack: awaitAck, web_ca: webCa },
  };
}

function buildMasks(draft: RelationshipDraft): object {
  return {
    input_mask: {
      bundle_endpoint_url: draft.bundleEndpointUrl !== undefined,
      bundle_endpoint_profile: draft.profile !== undefined,
      trust_domain_bundle: draft.bundle !== undefined,
    },
    terms_mask: {
      accept: draft.accept !== undefined,
      publisher_id: draft.publisherId !== undefined,
      await_ack: draft.awaitAck !== undefined,
      web_ca: draft.webCa !== undefined,
    },
  };
}
