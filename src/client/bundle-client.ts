import { type Bundle, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { buildBundleMessage, parseBundleMessage, type WireBundle } from '../sync/index.ts';
import { dialAdmin } from './admin-call.ts';
import { failUnlessOk, type StatusMessage } from './item-status.ts';

const PAGE_SIZE = 500;

/** What becomes of registration entries that federate with a trust domain whose bundle is deleted. */
export type DeleteMode = 'restrict' | 'delete' | 'dissociate';

/** The server API for bundles over the admin socket. Every call fails with a TrustplaneError. */
export interface BundleClient {
  own(): Promise<Bundle>;
  federated(trustDomain: TrustDomain): Promise<Bundle>;
  listFederated(): Promise<readonly Bundle[]>;
  /** Creates it or puts it in the place of the one there is; returns what is there then. */
  set(bundle: Bundle, isReset: boolean): Promise<Bundle>;
  delete(trustDomains: readonly TrustDomain[], mode: DeleteMode): Promise<void>;
  /** The own one and the federated ones. */
  count(): Promise<number>;
  close(): void;
}

interface BundleResult {
  readonly status?: StatusMessage;
  readonly bundle?: WireBundle | null;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createBundleClient(socket: string): BundleClient {
  const { call, close } = dialAdmin(socket);
  return {
    own: async () => parseBundleMessage(await call('Bundle', 'GetBundle', {})),
    federated: async ({ name }) =>
      parseBundleMessage(await call('Bundle', 'GetFederatedBundle', { trust_domain: name })),
    async listFederated() {
      const bundles: Bundle[] = [];
      let token = '';
      do {
        const page = await call<{ bundles?: WireBundle[]; next_page_token?: string }>(
          'Bundle',
          'ListFederatedBundles',
          { page_size: PAGE_SIZE, page_token: token },
        );
        bundles.push(...(page.bundles ?? []).map(parseBundleMessage));
        token = page.next_page_token ?? '';
      } while (token !== '');
      return bundles;
    },
    async set(bundle, isReset) {
      const request = { bundle: [buildBundleMessage(bundle)], reset_sequence: isReset };
      const { results: [result] = [] } = await call<{ results?: BundleResult[] }>(
        'Bundle',
        'BatchSetFederatedBundle',
        request,
      );
      failUnlessOk(result?.status);
      if (result?.bundle) return parseBundleMessage(result.bundle);
      throw new TrustplaneError('ERR_REMOTE', 'the server answered without the bundle');
    },
    async delete(trustDomains, mode) {
      const names = trustDomains.map(({ name }) => name);
      const request = { trust_domains: names, mode: mode.toUpperCase() };
      const { results = [] } = await call<{ results?: BundleResult[] }>(
        'Bundle',
        'BatchDeleteFederatedBundle',
        request,
      );
      for (const { status } of results) failUnlessOk(status);
    },
    count: async () => (await call<{ count?: number }>('Bundle', 'CountBundles', {})).count ?? 0,
    close,
  };
}
