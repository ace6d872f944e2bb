import type { Bundle, TokenAuthority, X509Authority } from './bundle.ts';
import { keyUses } from './bundle-document.ts';
import { parseCertificate } from './certificate.ts';
import { TrustplaneError } from './errors.ts';
import { formatJson, type WritableJson } from './format-json.ts';
import { jwkKeyMembers, jwsAlgorithm } from './jwk.ts';

export interface BundleDocumentOptions {
  /** WIT-SVID keys too; default true. SPIRE up to 1.15.2 refuses documents that hold them. */
  readonly includeWitKeys?: boolean;
  /** Spaces per level; default 0, one line. */
  readonly indent?: number;
}

/**
 * The SPIFFE bundle document of a bundle: X.509 authorities without `kid` and with one `x5c` value and
 * the key's own members (X509-SVID §6.1), then JWT and WIT keys with `kid`. Public material only; the
 * same bundle always gives the same bytes.
 * @throws TrustplaneError ERR_BUNDLE when a key ID is empty or comes twice, or a key is neither EC nor RSA
 */
export function serializeBundleDocument(
  bundle: Bundle,
  options: BundleDocumentOptions = {},
): string {
  const witAuthorities = options.includeWitKeys === false ? [] : bundle.witAuthorities;
  return formatJson(buildBundleDocument({ ...bundle, witAuthorities }), options.indent);
}

/** The members of a bundle document. @throws TrustplaneError ERR_BUNDLE */
function buildBundleDocument(bundle: Bundle): WritableJson {
  checkKeyIds([...bundle.jwtAuthorities, ...bundle.witAuthorities]);
  return {
    keys: [
      ...bundle.x509Authorities.map(buildX509Jwk),
      ...bundle.jwtAuthorities.map((authority) => buildTokenJwk(keyUses.jwt, authority)),
      ...bundle.witAuthorities.map((authority) => buildTokenJwk(keyUses.wit, authority)),
    ],
    spiffe_sequence: bundle.sequenceNumber,
    spiffe_refresh_hint: bundle.refreshHintSeconds,
  };
}

/**
 * The JWT keys of a bundle as a standard JWK Set (RFC 7517), for OIDC relying parties and the JWT
 * bundles of the Workload API: `alg` instead of the `use` of SPIFFE.
 * @throws TrustplaneError ERR_BUNDLE
 */
export function serializeJwks(bundle: Pick<Bundle, 'jwtAuthorities'>, indent: number = 0): string {
  checkKeyIds(bundle.jwtAuthorities);
  const keys = bundle.jwtAuthorities.map(({ keyId, publicKey }) => ({
    ...keyMembers(publicKey),
    kid: keyId,
    alg: jwsAlgorithm(publicKey),
  }));
  return formatJson({ keys }, indent);
}

/** The JWK of an X.509 authority. @throws TrustplaneError ERR_BUNDLE, ERR_CERTIFICATE */
export function buildX509Jwk({ certificate }: X509Authority): WritableJson {
  return {
    use: keyUses.x509,
    ...keyMembers(parseCertificate(certificate).publicKey),
    x5c: [Buffer.from(certificate).toString('base64')],
  };
}

function buildTokenJwk(use: string, { keyId, publicKey }: TokenAuthority): WritableJson {
  return { use, ...keyMembers(publicKey), kid: keyId };
}

function keyMembers(publicKey: Uint8Array): { readonly [name: string]: string } {
  const members = jwkKeyMembers(publicKey);
  if (members !== undefined) return members;
  throw new TrustplaneError(
    'ERR_BUNDLE',
    'a key of a bundle is an EC or RSA key; got another type',
  );
}

function checkKeyIds(authorities: readonly TokenAuthority[]): void {
  const keyIds = new Set(authorities.map(({ keyId }) => keyId));
  if (keyIds.size === authorities.length && !keyIds.has('')) return;
  throw new TrustplaneError(
    'ERR_BUNDLE',
    'the token keys of a bundle have key IDs of their own; got an empty one or one that comes twice',
  );
}
