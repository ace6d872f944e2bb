import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { type Clock, TrustplaneError } from '../spiffe/index.ts';
import { Remembered } from './remembered.ts';

/** A key that signs assertions. */
export interface AssertionKey {
  readonly keyId: string;
  /** PKCS #8 DER of a P-256 key. */
  readonly privateKey: Uint8Array;
}

export interface AssertionSignerOptions {
  /** The claim `iss`. */
  readonly issuer: string;
  readonly ttlSeconds: number;
  readonly clock: Clock;
  readonly randomBytes: (count: number) => Uint8Array;
}

/** What is asserted. */
export interface Assertion {
  readonly callerId: string;
  /** The service that is called. */
  readonly audience: string;
  /** What the service is told in other headers. */
  readonly headers: ReadonlyMap<string, string>;
}

interface SignedAssertion {
  readonly token: string;
  /** In force, and young enough to be given out, from and until; milliseconds. */
  readonly from: number;
  readonly until: number;
}

/** No JWT-SVID, and not to be taken for one (RFC 8725 §3.11). */
const TYPE = 'assertion+jwt';
const MAX_REMEMBERED = 4_096;
const ID_BYTES = 16;

/**
 * Signs what the service is told of its caller, so that it can tell who told it: JWTs (ES256) with `iss`,
 * `sub` (the caller's SPIFFE ID), `aud` (the service), `iat`, `exp`, `jti` and `headers`. One is given out
 * again for half of its life where it would say the same.
 */
export class AssertionSigner {
  readonly #options: AssertionSignerOptions;
  #key: KeyObject | undefined;
  #header = '';
  #signed = new Remembered<SignedAssertion>(MAX_REMEMBERED);

  constructor(options: AssertionSignerOptions) {
    this.#options = options;
  }

  /** Signs with this key from now on. @throws TrustplaneError ERR_ASSERTION_KEYS */
  use({ keyId, privateKey }: AssertionKey): void {
    this.#key = readPrivateKey(privateKey);
    this.#header = base64Url({ alg: 'ES256', kid: keyId, typ: TYPE });
    this.#signed = new Remembered(MAX_REMEMBERED);
  }

  /** Undefined while there is no key. */
  sign(assertion: Assertion): string | undefined {
    if (this.#key === undefined) return undefined;
    const now = this.#options.clock.now();
    const key = keyOf(assertion);
    const known = this.#signed.get(key);
    if (known !== undefined && now >= known.from && now < known.until) return known.token;
    const token = this.#signAt(assertion, now, this.#key);
    const until = now + this.#options.ttlSeconds * 500;
    this.#signed.set(key, { token, from: now, until });
    return token;
  }

  #signAt({ callerId, audience, headers }: Assertion, now: number, key: KeyObject): string {
    const { issuer, ttlSeconds, randomBytes } = this.#options;
    const issuedAt = Math.floor(now / 1_000);
    const claims = {
      iss: issuer,
      sub: callerId,
      aud: audience,
      iat: issuedAt,
      exp: issuedAt + ttlSeconds,
      jti: Buffer.from(randomBytes(ID_BYTES)).toString('base64url'),
      headers: Object.fromEntries(headers),
    };
    const input = `${this.#header}.${base64Url(claims)}`;
    const signature = sign('sha256', Buffer.from(input, 'latin1'), {
      key,
      dsaEncoding: 'ieee-p1363',
    });
    return `${input}.${signature.toString('base64url')}`;
  }
}

/** A P-256 key in PKCS #8 DER. @throws TrustplaneError ERR_ASSERTION_KEYS */
export function readPrivateKey(der: Uint8Array): KeyObject {
  try {
    const key = createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' });
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key;
  } catch {
    // What the library says may have parts of the key in it.
  }
  throw new TrustplaneError('ERR_ASSERTION_KEYS', 'expected a P-256 key in PKCS #8');
}

/** Neither IDs nor values of headers have line feeds. */
function keyOf({ callerId, audience, headers }: Assertion): string {
  let key = `${callerId}\n${audience}`;
  for (const [name, value] of headers) key += `\n${name}\n${value}`;
  return key;
}

function base64Url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
