import { decodeBase64Url } from './base64.ts';
import type { Bundle, TokenAuthority } from './bundle.ts';
import { type ErrorCode, messageOf, TrustplaneError } from './errors.ts';
import { type JsonObject, type JsonValue, parseJson } from './json.ts';
import { fitsAlgorithm, isSignedWith, jwtAlgorithms } from './jwt-signature.ts';
import { quote } from './quote.ts';
import { SpiffeId } from './spiffe-id.ts';
import type { TrustDomain } from './trust-domain.ts';

/** A JWT-SVID as its text says. Instants in milliseconds since the epoch. */
export interface JwtSvid {
  readonly spiffeId: SpiffeId;
  /** At least one. */
  readonly audience: readonly string[];
  readonly expiresAt: number;
  readonly notBefore: number | undefined;
  readonly issuedAt: number | undefined;
  readonly keyId: string;
  readonly algorithm: string;
  /** Every claim, as it stands. */
  readonly claims: JsonObject;
  /** What is signed: header, dot, payload. */
  readonly input: string;
  readonly signature: Uint8Array;
}

export interface JwtVerification {
  /** The verifier's own name, which the token must be meant for. */
  readonly audience: string;
  /** The bundle of one trust domain, undefined when it is not trusted. */
  readonly bundleOf: (trustDomain: TrustDomain) => Bundle | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** How far clocks may differ, in milliseconds; advised are up to 60,000 (JWT-SVID §3.3). */
  readonly leewayMs: number;
}

const MAX_TOKEN_BYTES = 16_384;
const MAX_KEY_ID_BYTES = 1_024;
const MAX_AUDIENCES = 1_024;
/** 9999-12-31T23:59:59Z: what comes after has no RFC 3339 form. */
const LAST_SECOND = 253_402_300_799;
const HEADERS = new Set(['alg', 'kid', 'typ']);
const TYPES = new Set<JsonValue>(['JWT', 'JOSE']);

/**
 * Parses a JWT-SVID: JWS compact serialization of at most 16 KiB (JWT-SVID §2, §3). Nothing it says is
 * to be relied on before `verifyJwtSvid`.
 * @throws TrustplaneError ERR_JWT_FORMAT, ERR_JWT_ALGORITHM, ERR_JWT_HEADER, ERR_JWT_KEY_ID,
 * ERR_JWT_SUBJECT, ERR_JWT_AUDIENCE, ERR_JWT_TIME
 */
export function parseJwtSvid(token: string): JwtSvid {
  if (token.length > MAX_TOKEN_BYTES) {
    throw malformed(`it has ${token.length} characters; at most ${MAX_TOKEN_BYTES} are allowed`);
  }
  const parts = token.split('.');
  const [header = '', payload = '', signature = ''] = parts;
  if (parts.length !== 3) {
    throw malformed(`JWS compact serialization has 3 parts; got ${parts.length}`);
  }
  const { algorithm, keyId } = readHeader(readObject(header, 'header'));
  const claims = readObject(payload, 'payload');
  const issuedAt = readInstant(claims, 'iat');
  const notBefore = readInstant(claims, 'nbf');
  const expiresAt = readInstant(claims, 'exp');
  if (expiresAt === undefined) throw refused('ERR_JWT_TIME', 'it has no claim "exp"');
  return {
    spiffeId: readSubject(claims.get('sub')),
    audience: readAudience(claims.get('aud')),
    expiresAt,
    notBefore,
    issuedAt,
    keyId,
    algorithm,
    claims,
    input: `${header}.${payload}`,
    signature: decodePart(signature, 'signature'),
  };
}

/**
 * Parses a JWT-SVID and verifies it (JWT-SVID §2 to §5): signed by a key of the bundle of its own trust
 * domain and of no other, meant for the verifier, in its time. A tainted key verifies until it is
 * revoked, that is, gone from the bundle; an expired one does not.
 * @throws TrustplaneError those of `parseJwtSvid`, ERR_JWT_EXPIRED, ERR_JWT_NOT_YET_VALID,
 * ERR_JWT_TRUST_DOMAIN, ERR_JWT_AUTHORITY, ERR_JWT_SIGNATURE
 */
export function verifyJwtSvid(token: string, verification: JwtVerification): JwtSvid {
  const svid = parseJwtSvid(token);
  checkAudience(svid, verification.audience);
  checkJwtSvid(svid, verification);
  return svid;
}

/**
 * Verifies what `parseJwtSvid` read as `verifyJwtSvid` does, save for whom it is meant; returns the key
 * that signed it.
 * @throws TrustplaneError those of `verifyJwtSvid` but ERR_JWT_AUDIENCE
 */
export function checkJwtSvid(
  svid: JwtSvid,
  verification: Omit<JwtVerification, 'audience'>,
): TokenAuthority {
  checkTime(svid, verification);
  const authority = findAuthority(svid, verification);
  if (isSignedWith(authority, svid.algorithm, svid.input, svid.signature)) return authority;
  throw refused('ERR_JWT_SIGNATURE', `the key ${quote(svid.keyId)} did not sign it`);
}

function readObject(part: string, what: string): JsonObject {
  try {
    const value = parseJson(decodePart(part, what));
    if (value instanceof Map) return value;
  } catch (error) {
    if (error instanceof TrustplaneError && error.code === 'ERR_JWT_FORMAT') throw error;
    throw malformed(`its ${what}: ${messageOf(error)}`);
  }
  throw malformed(`its ${what} is no JSON object`);
}

function decodePart(part: string, what: string): Uint8Array {
  const bytes = part === '' ? undefined : decodeBase64Url(part);
  if (bytes !== undefined) return bytes;
  throw malformed(`its ${what} is empty or not base64url without padding`);
}

function readHeader(header: JsonObject): { algorithm: string; keyId: string } {
  const algorithm = header.get('alg');
  if (typeof algorithm !== 'string' || !jwtAlgorithms.has(algorithm)) {
    throw refused(
      'ERR_JWT_ALGORITHM',
      `alg is one of ${[...jwtAlgorithms.keys()].join(', ')}; got ${shown(algorithm)}`,
    );
  }
  const type = header.get('typ');
  if (type !== undefined && !TYPES.has(type)) {
    throw refused('ERR_JWT_HEADER', `typ, where it stands, is JWT or JOSE; got ${shown(type)}`);
  }
  const other = [...header.keys()].find((name) => !HEADERS.has(name));
  if (other !== undefined) {
    throw refused(
      'ERR_JWT_HEADER',
      `its header has the member ${quote(other)}, which is not allowed`,
    );
  }
  const keyId = header.get('kid');
  if (typeof keyId === 'string' && keyId !== '' && Buffer.byteLength(keyId) <= MAX_KEY_ID_BYTES) {
    return { algorithm, keyId };
  }
  throw refused(
    'ERR_JWT_KEY_ID',
    `kid is a text of 1 to ${MAX_KEY_ID_BYTES} bytes; got ${shown(keyId)}`,
  );
}

function readSubject(subject: JsonValue | undefined): SpiffeId {
  if (typeof subject !== 'string') {
    throw refused('ERR_JWT_SUBJECT', `sub is a SPIFFE ID; got ${shown(subject)}`);
  }
  let id: SpiffeId;
  try {
    id = SpiffeId.parse(subject);
  } catch (error) {
    throw refused('ERR_JWT_SUBJECT', `sub: ${messageOf(error)}`);
  }
  if (!id.isTrustDomainId) return id;
  throw refused('ERR_JWT_SUBJECT', `sub is the ID of a workload; got ${id.toString()}`);
}

/** One value may stand alone (RFC 7519 §4.1.3). */
function readAudience(audience: JsonValue | undefined): readonly string[] {
  const values = typeof audience === 'string' ? [audience] : audience;
  if (!isArray(values) || values.length === 0 || values.length > MAX_AUDIENCES) {
    throw refused(
      'ERR_JWT_AUDIENCE',
      `aud is a text or 1 to ${MAX_AUDIENCES} of them; got ${shown(audience)}`,
    );
  }
  return values.map((value) => {
    if (typeof value === 'string') return value;
    throw refused('ERR_JWT_AUDIENCE', `aud holds texts; got ${shown(value)}`);
  });
}

/** A NumericDate (RFC 7519 §2), whole or with a fraction. */
function readInstant(claims: JsonObject, name: string): number | undefined {
  const value = claims.get(name);
  if (value === undefined) return undefined;
  if (typeof value === 'number' && value >= 0 && value <= LAST_SECOND) return value * 1000;
  throw refused('ERR_JWT_TIME', `${name} is a number of seconds since 1970; got ${shown(value)}`);
}

function checkAudience({ audience }: JwtSvid, own: string): void {
  if (own !== '' && audience.includes(own)) return;
  const got = audience.slice(0, 3).map((value) => quote(value));
  throw refused('ERR_JWT_AUDIENCE', `it is meant for ${got.join(', ')}, not for ${quote(own)}`);
}

function checkTime(
  svid: JwtSvid,
  { now, leewayMs }: Pick<JwtVerification, 'now' | 'leewayMs'>,
): void {
  if (now - leewayMs >= svid.expiresAt) {
    throw refused('ERR_JWT_EXPIRED', `it expired at ${instant(svid.expiresAt)}`);
  }
  for (const begin of [svid.notBefore, svid.issuedAt]) {
    if (begin === undefined || begin <= now + leewayMs) continue;
    throw refused('ERR_JWT_NOT_YET_VALID', `it is of the future: ${instant(begin)}`);
  }
}

function findAuthority(
  svid: JwtSvid,
  { bundleOf, now, leewayMs }: Omit<JwtVerification, 'audience'>,
): TokenAuthority {
  const { trustDomain } = svid.spiffeId;
  const bundle = bundleOf(trustDomain);
  if (bundle === undefined || !bundle.trustDomain.equals(trustDomain)) {
    throw refused('ERR_JWT_TRUST_DOMAIN', `the trust domain ${trustDomain.name} is not trusted`);
  }
  const authority = bundle.jwtAuthorities.find(({ keyId }) => keyId === svid.keyId);
  const name = `the key ${quote(svid.keyId)} of ${trustDomain.name}`;
  if (authority === undefined) {
    throw refused('ERR_JWT_AUTHORITY', `${name} is not in the bundle`);
  }
  if (authority.expiresAt !== undefined && now - leewayMs >= authority.expiresAt) {
    throw refused('ERR_JWT_AUTHORITY', `${name} expired at ${instant(authority.expiresAt)}`);
  }
  if (fitsAlgorithm(authority, svid.algorithm)) return authority;
  throw refused('ERR_JWT_ALGORITHM', `${name} is of another kind than ${svid.algorithm} needs`);
}

function isArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}

function shown(value: JsonValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return quote(value);
  if (typeof value !== 'object' || value === null) return String(value);
  return isArray(value) ? `an array of ${value.length}` : 'an object';
}

function malformed(why: string): TrustplaneError {
  return refused('ERR_JWT_FORMAT', why);
}

function refused(code: ErrorCode, why: string): TrustplaneError {
  return new TrustplaneError(code, `the JWT-SVID is refused: ${why}`);
}
