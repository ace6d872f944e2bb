import { readFileBounded } from '../ops/index.ts';
import {
  type Bundle,
  messageOf,
  parseBundleDocument,
  parsePemBundle,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';

const MAX_BUNDLE_BYTES = 4_194_304;

/** How an agent that knows nothing yet tells a server of its trust domain from others. */
export type Bootstrap =
  /** A bundle, as PEM or as a SPIFFE bundle document. */
  | { readonly kind: 'file'; readonly path: string }
  /** The same, fetched over HTTPS. */
  | {
      readonly kind: 'url';
      readonly url: string;
      /** SHA-256 of the endpoint's public key (SubjectPublicKeyInfo), hex; in place of the system's authorities. */
      readonly publicKeySha256: string | undefined;
    }
  /** The bundle of whoever answers first. */
  | { readonly kind: 'insecure' };

/**
 * The bundle that the first server is judged by; undefined where any server is believed.
 * @throws TrustplaneError ERR_NODE_BOOTSTRAP
 */
export async function fetchBootstrapBundle(
  bootstrap: Bootstrap,
  trustDomain: TrustDomain,
): Promise<Bundle | undefined> {
  if (bootstrap.kind === 'insecure') return undefined;
  if (bootstrap.kind === 'file') return await loadBundle(bootstrap.path, trustDomain);
  const { url, publicKeySha256 } = bootstrap;
  // Loaded when it is wanted: node:https takes long to load.
  const { fetchBundleText } = await import('./fetch-bundle-text.ts');
  const text = await fetchBundleText(url, publicKeySha256).catch((error: unknown) => {
    throw unusable(url, error);
  });
  return parseBundle(text, trustDomain, url);
}

async function loadBundle(path: string, trustDomain: TrustDomain): Promise<Bundle> {
  const bytes = await readFileBounded(path, MAX_BUNDLE_BYTES).catch((error: unknown) => {
    throw unusable(path, error);
  });
  if (bytes === undefined) throw unusable(path, 'there is no such file');
  return parseBundle(Buffer.from(bytes).toString('utf8'), trustDomain, path);
}

function parseBundle(text: string, trustDomain: TrustDomain, where: string): Bundle {
  try {
    const bundle = text.trimStart().startsWith('{')
      ? parseBundleDocument(trustDomain, text).bundle
      : parsePemBundle(trustDomain, text);
    if (bundle.x509Authorities.length === 0) throw new Error('it holds no X.509 authority');
    return bundle;
  } catch (error) {
    throw unusable(where, error);
  }
}

function unusable(where: string, why: unknown): TrustplaneError {
  const message = `the bundle to trust servers by, ${where}, cannot be used: ${messageOf(why)}`;
  return new TrustplaneError('ERR_NODE_BOOTSTRAP', message, { cause: why });
}
