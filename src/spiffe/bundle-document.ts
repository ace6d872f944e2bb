import { decodeBase64 } from './base64.ts';
import type { Bundle, TokenAuthority, X509Authority } from './bundle.ts';
import { type Certificate, parseCertificate, sameBytes } from './certificate.ts';
import { messageOf, TrustplaneError } from './errors.ts';
import { type JsonObject, type JsonValue, parseJson } from './json.ts';
import { jwkKeyMembers, parsePublicJwk, privateMemberFault } from './jwk.ts';
import { keyAlgorithmFault } from './key-algorithm.ts';
import type { TrustDomain } from './trust-domain.ts';
import { authorityFault } from './x509-authority.ts';

/** Values of `use` in a SPIFFE bundle document; they are case-sensitive. */
export const keyUses = { x509: 'x509-svid', jwt: 'jwt-svid', wit: 'wit-svid' } as const;

/** A key of a document that was left out of the bundle, so that callers can log it. */
export interface IgnoredKey {
  /** Position in `keys`, from 0. */
  readonly index: number;
  readonly reason: string;
}

/** A parsed bundle document. */
export interface BundleDocument {
  readonly bundle: Bundle;
  readonly ignoredKeys: readonly IgnoredKey[];
}

const KEY_MEMBERS = ['crv', 'x', 'y', 'n', 'e'];
export const MAX_BUNDLE_KEYS = 1000;
export const MAX_KEY_ID_BYTES = 1024;

/**
 * Parses a SPIFFE bundle document (SPIFFE Trust Domain and Bundle §4) of at most 1 MiB and 1000 keys.
 *
 * A key that is not understood or not usable is ignored and reported, so that the rest is trusted and
 * nothing more: unknown `kty`, unknown or missing `use` (§4.2), X.509 keys with `kid` or without `x5c`,
 * token keys without `kid`, key members that contradict the certificate, keys out of bounds, certificates
 * that are no authority. Of `x5c` only the first value counts (X509-SVID §6.2). SPIRE refuses the whole
 * document on an unknown `use` or a second `x5c` value and does not read the sequence number; Envoy
 * trusts every value of `x5c`.
 * @throws TrustplaneError ERR_JSON, ERR_BUNDLE
 */
export function parseBundleDocument(
  trustDomain: TrustDomain,
  document: Uint8Array | string,
): BundleDocument {
  const value = parseJson(document);
  if (!(value instanceof Map)) throw malformed(trustDomain, 'is no JSON object');
  return readBundle(trustDomain, value);
}

/** Reads a bundle out of parsed JSON. @throws TrustplaneError ERR_BUNDLE */
export function readBundle(trustDomain: TrustDomain, document: JsonObject): BundleDocument {
  const keys = document.get('keys');
  if (!isArray(keys)) throw malformed(trustDomain, 'has no array "keys"');
  if (keys.length > MAX_BUNDLE_KEYS) {
    throw malformed(trustDomain, `has ${keys.length} keys; at most ${MAX_BUNDLE_KEYS} are allowed`);
  }
  const ignoredKeys: IgnoredKey[] = [];
  const x509Authorities: X509Authority[] = [];
  const tokens = { jwt: [] as TokenAuthority[], wit: [] as TokenAuthority[] };
  const keyIds = new Set<string>();
  for (const [index, jwk] of keys.entries()) {
    if (!(jwk instanceof Map)) throw malformed(trustDomain, `has a key ${index} that is no object`);
    const key = readKey(jwk, keyIds);
    if ('fault' in key) ignoredKeys.push({ index, reason: key.fault });
    else if (key.use !== 'x509') tokens[key.use].push(key.authority);
    else if (!isKnown(x509Authorities, key.authority)) x509Authorities.push(key.authority);
  }
  const bundle: Bundle = {
    trustDomain,
    x509Authorities,
    jwtAuthorities: tokens.jwt,
    witAuthorities: tokens.wit,
    sequenceNumber: readSequence(trustDomain, document.get('spiffe_sequence')),
    refreshHintSeconds: readRefreshHint(trustDomain, document.get('spiffe_refresh_hint')),
  };
  return { bundle, ignoredKeys };
}

type ReadKey =
  | { readonly use: 'x509'; readonly authority: X509Authority }
  | { readonly use: 'jwt' | 'wit'; readonly authority: TokenAuthority }
  | { readonly fault: string };

function readKey(jwk: JsonObject, keyIds: Set<string>): ReadKey {
  const kty = jwk.get('kty');
  if (kty !== 'EC' && kty !== 'RSA') return { fault: `unknown kty ${shown(kty)}` };
  const use = jwk.get('use');
  if (use === keyUses.x509) return readX509Key(jwk);
  if (use === keyUses.jwt) return readTokenKey('jwt', jwk, keyIds);
  if (use === keyUses.wit) return readTokenKey('wit', jwk, keyIds);
  return { fault: use === undefined ? 'no use' : `unknown use ${shown(use)}` };
}

function readX509Key(jwk: JsonObject): ReadKey {
  if (jwk.has('kid')) return { fault: 'an x509-svid key with kid' };
  const x5c = jwk.get('x5c');
  const first = isArray(x5c) ? x5c[0] : undefined;
  if (typeof first !== 'string') return { fault: 'an x509-svid key without x5c' };
  const der = decodeBase64(first);
  if (der === undefined) return { fault: 'an x5c value that is not base64' };
  try {
    const certificate = parseCertificate(der);
    const fault = certificateFault(certificate) ?? contradiction(jwk, certificate);
    return fault === undefined
      ? { use: 'x509', authority: { certificate: Uint8Array.from(der), tainted: false } }
      : { fault };
  } catch (error) {
    return { fault: `an x5c value that is ${messageOf(error)}` };
  }
}

function certificateFault(certificate: Certificate): string | undefined {
  const keyFault = keyAlgorithmFault(certificate.keyAlgorithm);
  if (keyFault !== undefined) return `an x5c certificate with ${keyFault}`;
  const fault = authorityFault(certificate);
  return fault === undefined ? undefined : `an x5c certificate that ${fault.reason}`;
}

/** Key members may be missing beside `x5c`; where they stand, they are those of the certificate (RFC 7517 §4.7). */
function contradiction(jwk: JsonObject, { publicKey }: Certificate): string | undefined {
  const expected = new Map(Object.entries(jwkKeyMembers(publicKey) ?? {}));
  if (jwk.get('kty') !== expected.get('kty')) {
    return 'a kty that is not the one of the x5c certificate';
  }
  const differs = KEY_MEMBERS.some((name) => jwk.has(name) && jwk.get(name) !== expected.get(name));
  if (differs) return 'key members that are not those of the x5c certificate';
  return privateMemberFault(jwk);
}

function readTokenKey(use: 'jwt' | 'wit', jwk: JsonObject, keyIds: Set<string>): ReadKey {
  const keyId = jwk.get('kid');
  if (typeof keyId !== 'string' || keyId === '')
    return { fault: `a ${keyUses[use]} key without kid` };
  if (Buffer.byteLength(keyId) > MAX_KEY_ID_BYTES) {
    return { fault: `a kid of more than ${MAX_KEY_ID_BYTES} bytes` };
  }
  const key = parsePublicJwk(jwk);
  if ('fault' in key) return key;
  if (keyIds.has(keyId)) return { fault: `a second key with kid ${shown(keyId)}` };
  keyIds.add(keyId);
  const { publicKey } = key;
  return { use, authority: { keyId, publicKey, expiresAt: undefined, tainted: false } };
}

function isKnown(authorities: readonly X509Authority[], { certificate }: X509Authority): boolean {
  return authorities.some((known) => sameBytes(known.certificate, certificate));
}

function readSequence(trustDomain: TrustDomain, value: JsonValue | undefined): bigint | undefined {
  if (value === undefined) return undefined;
  const isInteger = typeof value === 'bigint' || Number.isSafeInteger(value);
  if (isInteger && (typeof value === 'bigint' || typeof value === 'number') && value >= 0) {
    return BigInt(value);
  }
  throw malformed(
    trustDomain,
    `has the spiffe_sequence ${shown(value)}, which is no integer from 0`,
  );
}

function readRefreshHint(
  trustDomain: TrustDomain,
  value: JsonValue | undefined,
): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw malformed(
    trustDomain,
    `has the spiffe_refresh_hint ${shown(value)}, which is no integer of seconds from 0`,
  );
}

function isArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function shown(value: JsonValue | undefined): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'object' && value !== null) return isArray(value) ? '[…]' : '{…}';
  return JSON.stringify(typeof value === 'string' ? value.slice(0, 80) : value) ?? 'nothing';
}

function malformed(trustDomain: TrustDomain, why: string): TrustplaneError {
  return new TrustplaneError('ERR_BUNDLE', `the bundle document of ${trustDomain.name} ${why}`);
}
