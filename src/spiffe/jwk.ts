import { createPublicKey } from 'node:crypto';
import { decodeBase64Url } from './base64.ts';
import { DerReader, derTags } from './der-reader.ts';
import { derIntegerBytes } from './der-values.ts';
import type { JsonObject } from './json.ts';
import { keyAlgorithmFault, parseKeyAlgorithm } from './key-algorithm.ts';

/** The members of a public JWK that make up the key (RFC 7518 §6). */
export type JwkKeyMembers =
  | { readonly kty: 'EC'; readonly crv: string; readonly x: string; readonly y: string }
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string };

const COORDINATE_BYTES = new Map([
  ['P-256', 32],
  ['P-384', 48],
  ['P-521', 66],
]);
const ALGORITHMS = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' } as const;
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];
const MAX_MODULUS_BYTES = 1025;
const MAX_EXPONENT_BYTES = 4;

/**
 * The JWK members of a public key, given as SubjectPublicKeyInfo DER; undefined if it is neither EC nor
 * RSA. Read off the encoding: a detour over the cryptography library costs fifty times as much.
 * @throws TrustplaneError ERR_DER
 */
export function jwkKeyMembers(publicKey: Uint8Array): JwkKeyMembers | undefined {
  const algorithm = parseKeyAlgorithm(publicKey);
  const { keyBits } = algorithm;
  if (algorithm.kind === 'rsa') return rsaKeyMembers(keyBits);
  if (algorithm.kind === 'other') return undefined;
  const middle = (keyBits.length + 1) / 2;
  return {
    kty: 'EC',
    crv: algorithm.curve,
    x: base64Url(keyBits.subarray(1, middle)),
    y: base64Url(keyBits.subarray(middle)),
  };
}

function rsaKeyMembers(keyBits: Uint8Array): JwkKeyMembers {
  const sequence = DerReader.of(keyBits).enter('RSA key');
  const [n, e] = ['RSA modulus', 'RSA exponent'].map((what) => {
    const integer = derIntegerBytes(sequence.expect(derTags.integer, what), what);
    return base64Url(integer[0] === 0 ? integer.subarray(1) : integer);
  });
  return { kty: 'RSA', n: n ?? '', e: e ?? '' };
}

function base64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
}

/** Why a JWK may not be published: it holds private key material. */
export function privateMemberFault(jwk: JsonObject): string | undefined {
  const name = PRIVATE_MEMBERS.find((member) => jwk.has(member));
  return name === undefined ? undefined : `the private key member "${name}"`;
}

/** The JWS algorithm that goes with a public key (RFC 7518 §3.1): ES256, ES384, ES512 or RS256. */
export function jwsAlgorithm(publicKey: Uint8Array): string {
  const algorithm = parseKeyAlgorithm(publicKey);
  return algorithm.kind === 'ec' ? ALGORITHMS[algorithm.curve] : 'RS256';
}

/** A public key, or why the JWK is none that is accepted. */
export type ParsedJwk = { readonly publicKey: Uint8Array } | { readonly fault: string };

/** Reads the public key of an EC or RSA JWK as SubjectPublicKeyInfo DER. Never throws. */
export function parsePublicJwk(jwk: JsonObject): ParsedJwk {
  const secret = privateMemberFault(jwk);
  if (secret !== undefined) return { fault: secret };
  const members = jwk.get('kty') === 'EC' ? ecMembers(jwk) : rsaMembers(jwk);
  if (typeof members === 'string') return { fault: members };
  try {
    const key = createPublicKey({ key: { ...members }, format: 'jwk' });
    const publicKey = key.export({ format: 'der', type: 'spki' });
    const fault = keyAlgorithmFault(parseKeyAlgorithm(publicKey));
    return fault === undefined ? { publicKey } : { fault };
  } catch {
    return { fault: 'key members that make no valid key' };
  }
}

function ecMembers(jwk: JsonObject): JwkKeyMembers | string {
  const crv = jwk.get('crv');
  const bytes = typeof crv === 'string' ? COORDINATE_BYTES.get(crv) : undefined;
  if (typeof crv !== 'string' || bytes === undefined) return 'no known curve in "crv"';
  const x = jwk.get('x');
  const y = jwk.get('y');
  if (typeof x !== 'string' || decodeBase64Url(x)?.length !== bytes) return 'a malformed "x"';
  if (typeof y !== 'string' || decodeBase64Url(y)?.length !== bytes) return 'a malformed "y"';
  return { kty: 'EC', crv, x, y };
}

function rsaMembers(jwk: JsonObject): JwkKeyMembers | string {
  const n = jwk.get('n');
  const e = jwk.get('e');
  if (typeof n !== 'string' || !hasBytes(n, MAX_MODULUS_BYTES)) return 'a malformed "n"';
  if (typeof e !== 'string' || !hasBytes(e, MAX_EXPONENT_BYTES)) return 'a malformed "e"';
  return { kty: 'RSA', n, e };
}

function hasBytes(text: string, maxBytes: number): boolean {
  const length = decodeBase64Url(text)?.length ?? 0;
  return length > 0 && length <= maxBytes;
}
