import {
  type Bundle,
  bundleRefreshSeconds,
  serializeBundleDocument,
  serializeBundleMap,
  serializeEnvoyBundleMap,
  type TrustMap,
  type TrustMapSource,
} from '../../spiffe/index.ts';
import { buildEntityTag } from './entity-tag.ts';

/** What a path holds, ready to be sent. */
export interface EndpointDocument {
  readonly body: Uint8Array;
  readonly entityTag: string;
  /** How long it may be taken for the newest. */
  readonly maxAgeSeconds: number;
}

/** What an endpoint publishes, and where. */
export interface EndpointPaths {
  /** Of the own bundle. */
  readonly path: string;
  readonly leaveOutWitKeys: boolean;
  /** Undefined: not published. */
  readonly bundleMap: {
    readonly path: string | undefined;
    readonly envoyPath: string | undefined;
  };
}

/** @throws TrustplaneError ERR_BUNDLE, ERR_BUNDLE_MAP when what is trusted cannot be written down */
export type ReadDocument = () => EndpointDocument;

/**
 * The documents by path. Each is written once for each version of what it says, when it is asked for
 * first, and is the newest whenever it is read. In bundle maps, which cannot say so, trust domains of
 * which only some IDs are accepted are left out.
 */
export function createEndpointDocuments(
  trust: Pick<TrustMapSource, 'current'>,
  { path, leaveOutWitKeys, bundleMap }: EndpointPaths,
): ReadonlyMap<string, ReadDocument> {
  const options = { includeWitKeys: !leaveOutWitKeys };
  const documents = new Map([
    [
      path,
      oncePerVersion(
        trust,
        ({ own }) => own,
        ({ own }) => serializeBundleDocument(own, options),
      ),
    ],
  ]);
  const publishMap = (at: string | undefined, write: (map: TrustMap) => string): void => {
    if (at !== undefined)
      documents.set(
        at,
        oncePerVersion(trust, (map) => map, write),
      );
  };
  publishMap(bundleMap.path, (map) => serializeBundleMap(acceptedWhole(map), options));
  publishMap(bundleMap.envoyPath, (map) => serializeEnvoyBundleMap(acceptedWhole(map)));
  return documents;
}

function acceptedWhole({ own, federated, terms }: TrustMap): readonly Bundle[] {
  const isWhole = (name: string): boolean => (terms.get(name)?.accept ?? []).length === 0;
  return [own, ...[...federated].flatMap(([name, bundle]) => (isWhole(name) ? [bundle] : []))];
}

function oncePerVersion(
  trust: Pick<TrustMapSource, 'current'>,
  versionOf: (map: TrustMap) => object,
  write: (map: TrustMap) => string,
): ReadDocument {
  let last: { readonly version: object; readonly document: EndpointDocument } | undefined;
  return () => {
    const map = trust.current();
    const version = versionOf(map);
    if (last?.version !== version) {
      const body = Buffer.from(write(map), 'utf8');
      const maxAgeSeconds = bundleRefreshSeconds(map.own);
      last = { version, document: { body, entityTag: buildEntityTag(body), maxAgeSeconds } };
    }
    return last.document;
  };
}
