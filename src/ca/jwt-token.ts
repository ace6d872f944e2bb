import {
  DerReader,
  derIntegerBytes,
  derTags,
  type SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { KeyType, SigningKey } from './key-manager.ts';

/** What a JWT-SVID says. Instants in milliseconds since the epoch; a fraction of a second is cut off. */
export interface JwtSvidClaims {
  readonly spiffeId: SpiffeId;
  /** At least one. */
  readonly audience: readonly string[];
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** The `iss` claim; JWT-SVID requires none, OIDC relying parties do. */
  readonly issuer?: string | undefined;
  /** The `jti` claim. */
  readonly id?: string | undefined;
}

interface Algorithm {
  readonly name: 'ES256' | 'ES384' | 'RS256';
  /** Of r and of s; undefined: the signature stands as it is. */
  readonly integerBytes: number | undefined;
}

/** The one of RFC 7518 that goes with what `SigningKey.sign` makes. */
const algorithms: Readonly<Record<KeyType, Algorithm>> = {
  'ec-p256': { name: 'ES256', integerBytes: 32 },
  'ec-p384': { name: 'ES384', integerBytes: 48 },
  'rsa-2048': { name: 'RS256', integerBytes: undefined },
  'rsa-4096': { name: 'RS256', integerBytes: undefined },
};

interface Header {
  readonly keyId: string;
  readonly text: string;
}

/** The same for all tokens of a key. */
const headers = new WeakMap<SigningKey, Header>();

/** The public members of a header, and no others (JWT-SVID §2). */
function headerOf(key: SigningKey, keyId: string): string {
  const known = headers.get(key);
  if (known?.keyId === keyId) return known.text;
  const header = { alg: algorithms[key.keyType].name, kid: keyId, typ: 'JWT' };
  const text = base64Url(JSON.stringify(header));
  headers.set(key, { keyId, text });
  return text;
}

/**
 * Writes and signs one JWT-SVID as JWS compact serialization: the header holds `alg`, `kid` and `typ`
 * only; `aud` is an array, also of one.
 * @throws TrustplaneError ERR_DER when the key makes no ECDSA signature of its curve; what the key throws
 */
export async function writeJwtSvid(
  key: SigningKey,
  keyId: string,
  claims: JwtSvidClaims,
): Promise<string> {
  const input = `${headerOf(key, keyId)}.${base64Url(payloadOf(claims))}`;
  const signature = await key.sign(Buffer.from(input, 'latin1'));
  return `${input}.${base64Url(joseSignature(signature, key.keyType))}`;
}

function payloadOf({ spiffeId, audience, issuedAt, expiresAt, issuer, id }: JwtSvidClaims): string {
  return JSON.stringify({
    aud: audience,
    exp: Math.floor(expiresAt / 1000),
    iat: Math.floor(issuedAt / 1000),
    iss: issuer,
    jti: id,
    sub: spiffeId.toString(),
  });
}

/** A signature as JWS wants it (RFC 7518 §3.4): of ECDSA r and s, of fixed length, instead of DER. */
function joseSignature(signature: Uint8Array, keyType: KeyType): Uint8Array {
  const { integerBytes } = algorithms[keyType];
  if (integerBytes === undefined) return signature;
  const outer = DerReader.of(signature);
  const sequence = outer.enter('ECDSA signature');
  const raw = new Uint8Array(2 * integerBytes);
  for (const [index, what] of ['r', 's'].entries()) {
    const integer = unsigned(
      derIntegerBytes(sequence.expect(derTags.integer, what), what),
      what,
      integerBytes,
    );
    raw.set(integer, (index + 1) * integerBytes - integer.length);
  }
  sequence.finish('ECDSA signature');
  outer.finish('ECDSA signature');
  return raw;
}

/** The octets of a positive INTEGER without a leading zero. */
function unsigned(content: Uint8Array, what: string, maxBytes: number): Uint8Array {
  const [first = 0] = content;
  const octets = first === 0 ? content.subarray(1) : content;
  if (first < 0x80 && octets.length > 0 && octets.length <= maxBytes) return octets;
  throw new TrustplaneError(
    'ERR_DER',
    `malformed DER: the ${what} of an ECDSA signature is a positive integer of at most ${maxBytes} octets; got ${content.length} octets`,
  );
}

function base64Url(data: string | Uint8Array): string {
  const bytes =
    typeof data === 'string'
      ? Buffer.from(data)
      : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return bytes.toString('base64url');
}
