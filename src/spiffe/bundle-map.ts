import type { Bundle } from './bundle.ts';
import { type BundleDocument, readBundle } from './bundle-document.ts';
import { TrustplaneError } from './errors.ts';
import { formatJson } from './format-json.ts';
import { parseJson } from './json.ts';
import {
  type BundleDocumentOptions,
  buildX509Jwk,
  serializeBundleDocument,
} from './serialize-bundle.ts';
import { TrustDomain } from './trust-domain.ts';

const MAX_BYTES = 32 << 20;
const MAX_TRUST_DOMAINS = 10_000;

/**
 * Parses a SPIFFE bundle map (SPIFFE Trust Domain and Bundle §5), the whole state at once, by trust
 * domain name: at most 32 MiB and 10,000 trust domains. A trust domain that comes twice is refused
 * (§6.3). Refresh hints of the bundles inside say nothing about the map and are dropped.
 * @throws TrustplaneError ERR_JSON, ERR_BUNDLE_MAP, ERR_BUNDLE, ERR_TRUST_DOMAIN
 */
export function parseBundleMap(document: Uint8Array | string): ReadonlyMap<string, BundleDocument> {
  const value = parseJson(document, { maxBytes: MAX_BYTES });
  const trustDomains = value instanceof Map ? value.get('trust_domains') : undefined;
  if (!(trustDomains instanceof Map)) {
    throw malformed('a bundle map is a JSON object with an object "trust_domains"');
  }
  if (trustDomains.size > MAX_TRUST_DOMAINS) {
    throw malformed(
      `a bundle map has at most ${MAX_TRUST_DOMAINS} trust domains; got ${trustDomains.size}`,
    );
  }
  const bundles = new Map<string, BundleDocument>();
  for (const [name, member] of trustDomains) {
    const trustDomain = TrustDomain.parse(name);
    if (!(member instanceof Map)) throw malformed(`the bundle of ${name} is no JSON object`);
    const { bundle, ignoredKeys } = readBundle(trustDomain, member);
    bundles.set(name, { bundle: { ...bundle, refreshHintSeconds: undefined }, ignoredKeys });
  }
  return bundles;
}

/**
 * The bundle map of these bundles, without refresh hints. What it says of a bundle is written once, so
 * that a change of one among many costs little.
 * @throws TrustplaneError ERR_BUNDLE_MAP when a trust domain comes twice; ERR_BUNDLE
 */
export function serializeBundleMap(
  bundles: Iterable<Bundle>,
  { includeWitKeys = true }: Pick<BundleDocumentOptions, 'includeWitKeys'> = {},
): string {
  return serialize(bundles, includeWitKeys ? wholeTexts : textsWithoutWit);
}

/**
 * The bundle map in the form Envoy takes (`SPIFFECertValidatorConfig.trust_bundles`): X.509 keys only,
 * and only trust domains that have any. Envoy refuses the whole map for one key of another use or one
 * empty list.
 * @throws TrustplaneError ERR_BUNDLE_MAP when a trust domain comes twice; ERR_BUNDLE
 */
export function serializeEnvoyBundleMap(bundles: Iterable<Bundle>): string {
  return serialize(bundles, envoyTexts);
}

/** The text of a bundle in a map, once written; undefined: it is left out. */
type BundleText = (bundle: Bundle) => string | undefined;

const wholeTexts = onceForEach((bundle) =>
  serializeBundleDocument({ ...bundle, refreshHintSeconds: undefined }),
);
const textsWithoutWit = onceForEach((bundle) =>
  serializeBundleDocument({ ...bundle, refreshHintSeconds: undefined }, { includeWitKeys: false }),
);
const envoyTexts = onceForEach(({ x509Authorities }) =>
  x509Authorities.length === 0
    ? undefined
    : formatJson({ keys: x509Authorities.map(buildX509Jwk) }),
);

function onceForEach(write: BundleText): BundleText {
  const written = new WeakMap<Bundle, { readonly text: string | undefined }>();
  return (bundle) => {
    const known = written.get(bundle) ?? { text: write(bundle) };
    written.set(bundle, known);
    return known.text;
  };
}

function serialize(bundles: Iterable<Bundle>, textOf: BundleText): string {
  const names = new Set<string>();
  const members: string[] = [];
  for (const bundle of bundles) {
    const { name } = bundle.trustDomain;
    if (names.has(name)) throw malformed(`a bundle map has ${name} once; got it twice`);
    names.add(name);
    const text = textOf(bundle);
    if (text !== undefined) members.push(`${JSON.stringify(name)}:${text}`);
  }
  return `{"trust_domains":{${members.join(',')}}}`;
}

function malformed(message: string): TrustplaneError {
  return new TrustplaneError('ERR_BUNDLE_MAP', message);
}
