import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { ForeignBundles } from '../federation/index.ts';
import type { Log } from '../ops/index.ts';
import {
  type Bundle,
  type TrustDomain,
  type TrustMapSource,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type BundleMask, buildBundleMessage, type WireBundle } from '../sync/index.ts';
import type { Authorization, CallOfSomebody } from './authorization.ts';
import { parseBundleEdit, parseForeignBundle } from './bundle-message.ts';
import { eachItem } from './each-item.ts';
import { parsePage, type WirePageRequest } from './page-request.ts';
import { type ReleasedEntries, type ReleaseMode, releaseEntries } from './release-entries.ts';
import { parseForeignDomain } from './trust-domain-field.ts';
import { unary } from './unary.ts';
import { okStatus, parseBatch, type WireStatus } from './wire-values.ts';

const MAX_BATCH = 1_000;

/** What the store of foreign bundles does for the API. */
export type ForeignBundleStore = Pick<
  ForeignBundles,
  'get' | 'list' | 'create' | 'update' | 'set' | 'delete'
>;

export interface FederatedBundleOptions {
  readonly trustMap: TrustMapSource;
  readonly foreignBundles: ForeignBundleStore;
  readonly entries: ReleasedEntries;
  readonly authorization: Pick<Authorization, 'isOfAgent'>;
  readonly log: Log;
}

interface BundleResult {
  readonly status: WireStatus;
  readonly bundle?: WireBundle;
}

interface BatchRequest {
  readonly bundle?: readonly WireBundle[];
  readonly input_mask?: BundleMask;
  readonly output_mask?: BundleMask;
  readonly reset_sequence?: boolean;
}

/** The methods of spire.api.server.bundle.v1.Bundle for the bundles of foreign trust domains. */
export function createFederatedBundleMethods(
  options: FederatedBundleOptions,
): UntypedServiceImplementation {
  const { foreignBundles, log } = options;
  const own = options.trustMap.current().own.trustDomain;
  const foreign = (text: string | undefined, field: string): TrustDomain =>
    parseForeignDomain(text, field, own);

  /** A batch whose items `write` makes bundles of, one after the other: it may name one domain twice. */
  const batch = (
    what: string,
    write: (wire: WireBundle, request: BatchRequest) => Promise<Bundle>,
  ) =>
    unary(async (request: BatchRequest) => {
      const items = parseBatch(request.bundle, MAX_BATCH, 'bundle');
      const results = await eachItem(items, 1, log, async (wire): Promise<BundleResult> => {
        const bundle = await write(wire, request);
        log.info(factsOf(bundle), `federated bundle ${what}`);
        return { status: okStatus, bundle: buildBundleMessage(bundle, request.output_mask) };
      });
      return { results };
    });

  return {
    ListFederatedBundles: unary((request: WirePageRequest & { output_mask?: BundleMask }) => {
      const page = foreignBundles.list(parsePage(request, 'ERR_FEDERATION_PAGE'));
      return {
        bundles: page.items.map((bundle) => buildBundleMessage(bundle, request.output_mask)),
        next_page_token: page.nextPageToken,
      };
    }),
    GetFederatedBundle: unary(
      (request: { trust_domain?: string; output_mask?: BundleMask }, call) => {
        const trustDomain = foreign(request.trust_domain, 'trust_domain');
        const bundle = options.authorization.isOfAgent(call)
          ? bundleForAgent(options, trustDomain, call)
          : foreignBundles.get(trustDomain);
        if (bundle !== undefined) return buildBundleMessage(bundle, request.output_mask);
        throw new TrustplaneError(
          'ERR_BUNDLE_NOT_FOUND',
          `there is no bundle of ${trustDomain.name}`,
        );
      },
    ),
    BatchCreateFederatedBundle: batch('created', (wire) =>
      foreignBundles.create(parseForeignBundle(wire, own)),
    ),
    BatchUpdateFederatedBundle: batch('updated', (wire, { input_mask }) => {
      const { trustDomain, edit } = parseBundleEdit(wire, input_mask, own);
      return foreignBundles.update(trustDomain, edit);
    }),
    BatchSetFederatedBundle: batch('set', (wire, { reset_sequence }) =>
      foreignBundles.set(parseForeignBundle(wire, own), reset_sequence === true),
    ),
    BatchDeleteFederatedBundle: unary(
      async (request: { trust_domains?: readonly string[]; mode?: string }) => {
        const mode = parseMode(request.mode);
        const names = parseBatch(request.trust_domains, MAX_BATCH, 'trust_domains');
        const results = await eachItem(names, 1, log, async (name) => {
          await deleteBundle(options, foreign(name, 'trust_domains'), mode);
          return { status: okStatus };
        });
        return {
          results: results.map((result, i) => ({ ...result, trust_domain: names[i] ?? '' })),
        };
      },
    ),
  };
}

/**
 * An agent that asks for bundles knows of no terms: of a trust domain that is accepted in part it is
 * given none, as it would accept all of it. @throws TrustplaneError ERR_BUNDLE_NOT_FOUND
 */
function bundleForAgent(
  { trustMap, log }: FederatedBundleOptions,
  { name }: TrustDomain,
  call: CallOfSomebody,
): Bundle | undefined {
  const { federated, terms } = trustMap.current();
  const bundle = federated.get(name);
  if (bundle === undefined || (terms.get(name)?.accept ?? []).length === 0) return bundle;
  const why =
    'of which some SPIFFE IDs alone are accepted, to which an agent that polls cannot keep';
  log.warn({ trustDomain: name, agent: call.getPeer() }, `an agent was denied a bundle ${why}`);
  throw new TrustplaneError('ERR_BUNDLE_NOT_FOUND', `there is no bundle for it of ${name}, ${why}`);
}

/** The entries go first: what is left after a crash is then a bundle that nobody uses, and the call can be made again. */
async function deleteBundle(
  { foreignBundles, entries, log }: FederatedBundleOptions,
  trustDomain: TrustDomain,
  mode: ReleaseMode,
): Promise<void> {
  const isThere = foreignBundles.get(trustDomain) !== undefined;
  const released = isThere ? await releaseEntries(entries, trustDomain, mode) : 0;
  await foreignBundles.delete(trustDomain);
  log.info({ trustDomain: trustDomain.name, mode, entries: released }, 'federated bundle deleted');
}

function factsOf({ trustDomain, sequenceNumber, x509Authorities }: Bundle) {
  return {
    trustDomain: trustDomain.name,
    sequenceNumber: sequenceNumber?.toString(),
    x509Authorities: x509Authorities.length,
  };
}

const modes: readonly ReleaseMode[] = ['RESTRICT', 'DELETE', 'DISSOCIATE'];

function parseMode(text: string = 'RESTRICT'): ReleaseMode {
  const mode = modes.find((known) => known === text);
  if (mode !== undefined) return mode;
  throw new TrustplaneError(
    'ERR_API_REQUEST',
    `mode: expected one of ${modes.join(', ')}; got ${text}`,
  );
}
