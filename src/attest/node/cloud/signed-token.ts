import {
  decodeBase64Url,
  type ErrorCode,
  isSignedWith,
  type JsonObject,
  type JsonValue,
  messageOf,
  parseJson,
  quote,
} from '../../../spiffe/index.ts';
import { refused } from './refused.ts';

/** A signed token (JWS compact serialization) as its text says; to be relied on once it is verified. */
export interface SignedToken {
  readonly algorithm: string;
  readonly keyId: string;
  readonly claims: JsonObject;
  /** What is signed. */
  readonly input: string;
  readonly signature: Uint8Array;
}

/** A public key, SubjectPublicKeyInfo DER. */
export interface TokenKey {
  readonly publicKey: Uint8Array;
}

const MAX_TOKEN_CHARACTERS = 16_384;
const MAX_KEY_ID_CHARACTERS = 1_024;
const MAX_DEPTH = 8;
/** Members that would have the token itself say which key verifies it, or change how it is read. */
const FORBIDDEN_HEADERS = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip', 'enc'];

/**
 * @throws TrustplaneError ERR_NODE_ATTEST_TOKEN, ERR_NODE_ATTEST_ALGORITHM, ERR_NODE_ATTEST_HEADER,
 * ERR_NODE_ATTEST_KEY
 */
export function parseSignedToken(token: string, algorithms: ReadonlySet<string>): SignedToken {
  if (token.length > MAX_TOKEN_CHARACTERS) {
    throw malformed(`it has ${token.length} characters; at most ${MAX_TOKEN_CHARACTERS}`);
  }
  const parts = token.split('.');
  if (parts.length !== 3) throw malformed(`a signed token has 3 parts; got ${parts.length}`);
  const [head = '', body = '', signed = ''] = parts;
  const header = readObject(head, 'header');
  const algorithm = header.get('alg');
  if (typeof algorithm !== 'string' || !algorithms.has(algorithm)) {
    const message = `the token's alg is one of ${[...algorithms].join(', ')}; got ${shown(algorithm)}`;
    throw refused('ERR_NODE_ATTEST_ALGORITHM', message);
  }
  const forbidden = FORBIDDEN_HEADERS.find((name) => header.has(name));
  if (forbidden !== undefined) {
    throw refused('ERR_NODE_ATTEST_HEADER', `the token's header may not have ${forbidden}`);
  }
  const claims = readObject(body, 'payload');
  const signature = decodePart(signed, 'signature');
  return { algorithm, keyId: readKeyId(header), claims, input: `${head}.${body}`, signature };
}

/** @throws TrustplaneError ERR_NODE_ATTEST_SIGNATURE */
export function requireSignature(token: SignedToken, key: TokenKey): void {
  const { algorithm, input, signature, keyId } = token;
  if (isSignedWith(key, algorithm, input, signature)) return;
  const message = `the key ${quote(keyId)} did not sign the token with ${algorithm}`;
  throw refused('ERR_NODE_ATTEST_SIGNATURE', message);
}

/** The audience is this one alone. @throws TrustplaneError ERR_NODE_ATTEST_AUDIENCE */
export function requireAudience({ claims }: SignedToken, expected: string): void {
  const audience = claims.get('aud');
  const [only, ...others] = Array.isArray(audience) ? audience : [audience];
  if (only === expected && others.length === 0) return;
  const got = others.length > 0 ? `${others.length + 1} audiences` : shown(only);
  const message = `the token is to be meant for ${quote(expected)} alone; got ${got}`;
  throw refused('ERR_NODE_ATTEST_AUDIENCE', message);
}

/** @throws TrustplaneError ERR_NODE_ATTEST_ISSUER */
export function requireIssuer({ claims }: SignedToken, expected: readonly string[]): void {
  const issuer = claims.get('iss');
  if (typeof issuer === 'string' && expected.includes(issuer)) return;
  const message = `the token is to be issued by ${expected.join(' or ')}; got ${shown(issuer)}`;
  throw refused('ERR_NODE_ATTEST_ISSUER', message);
}

/**
 * `iat` and `exp` stand, `nbf` may; a token lives for at most `maxLifetimeMs`.
 * @throws TrustplaneError ERR_NODE_ATTEST_TIME
 */
export function requireTime(
  { claims }: SignedToken,
  terms: { readonly now: number; readonly leewayMs: number; readonly maxLifetimeMs: number },
): void {
  const { now, leewayMs, maxLifetimeMs } = terms;
  const expiresAt = readInstant(claims, 'exp');
  const issuedAt = readInstant(claims, 'iat');
  const notBefore = claims.has('nbf') ? readInstant(claims, 'nbf') : issuedAt;
  if (expiresAt <= now - leewayMs) throw untimely(`it expired at ${instant(expiresAt)}`);
  for (const begin of [issuedAt, notBefore]) {
    if (begin > now + leewayMs) throw untimely(`it is of the future: ${instant(begin)}`);
  }
  if (expiresAt - issuedAt <= maxLifetimeMs) return;
  throw untimely(`it is for ${(expiresAt - issuedAt) / 1000} s; at most ${maxLifetimeMs / 1000}`);
}

/** A text that has to stand. @throws TrustplaneError ERR_NODE_ATTEST_CLAIMS */
export function readTextClaim(claims: JsonObject, name: string, form: RegExp): string {
  const value = claims.get(name);
  if (typeof value === 'string' && form.test(value)) return value;
  const message = `the token's ${name} is a text of the form ${form.source}; got ${shown(value)}`;
  throw refused('ERR_NODE_ATTEST_CLAIMS', message);
}

/** A value for a message, cut short. */
export function shown(value: JsonValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return quote(value);
  if (typeof value !== 'object' || value === null) return String(value);
  return Array.isArray(value) ? `an array of ${value.length}` : 'an object';
}

function readInstant(claims: JsonObject, name: string): number {
  const value = claims.get(name);
  if (typeof value === 'number' && value > 0 && value < 253_402_300_800) return value * 1000;
  throw untimely(`${name} is a number of seconds since 1970; got ${shown(value)}`);
}

function readKeyId(header: JsonObject): string {
  const keyId = header.get('kid');
  const isText = typeof keyId === 'string' && keyId !== '' && keyId.length <= MAX_KEY_ID_CHARACTERS;
  if (isText) return keyId;
  throw refused('ERR_NODE_ATTEST_KEY', `the token's kid is a text; got ${shown(keyId)}`);
}

function readObject(part: string, what: string): JsonObject {
  const bytes = decodePart(part, what);
  let value: JsonValue;
  try {
    value = parseJson(bytes, { maxDepth: MAX_DEPTH });
  } catch (error) {
    throw malformed(`its ${what}: ${messageOf(error)}`);
  }
  if (value instanceof Map) return value;
  throw malformed(`its ${what} is no JSON object`);
}

function decodePart(part: string, what: string): Uint8Array {
  const bytes = part === '' ? undefined : decodeBase64Url(part);
  if (bytes !== undefined) return bytes;
  throw malformed(`its ${what} is empty or not base64url without padding`);
}

function malformed(why: string): Error {
  return refused('ERR_NODE_ATTEST_TOKEN', `the token cannot be read: ${why}`);
}

function untimely(why: string): Error {
  const code: ErrorCode = 'ERR_NODE_ATTEST_TIME';
  return refused(code, `the token is not valid now: ${why}`);
}

function instant(ms: number): string {
  return new Date(ms).toISOString();
}
