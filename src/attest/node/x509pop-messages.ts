import {
  decodeBase64,
  type ErrorCode,
  type JsonObject,
  type JsonValue,
  messageOf,
  parseJson,
  TrustplaneError,
} from '../../spiffe/index.ts';

/** Bytes that each side adds to what is signed. */
export const NONCE_BYTES = 32;
/** Five certificates of a usual size have 10 KiB. */
const MAX_PAYLOAD_BYTES = 65_536;
const MAX_MESSAGE_BYTES = 8192;
/** Of RSA with 8192 bits. */
const MAX_SIGNATURE_BYTES = 1024;
/** Of P-521. */
const MAX_NUMBER_BYTES = 66;

/** What a node is asked: to sign this nonce and one of its own. */
export interface X509PopChallenge {
  readonly kind: 'ec' | 'rsa';
  readonly nonce: Uint8Array;
}

export type X509PopResponse =
  | { readonly kind: 'rsa'; readonly nonce: Uint8Array; readonly signature: Uint8Array }
  | {
      readonly kind: 'ec';
      readonly nonce: Uint8Array;
      /** Big-endian numbers of 1 to 66 bytes. */
      readonly r: Uint8Array;
      readonly s: Uint8Array;
    };

/** The messages are SPIRE's: JSON, bytes as base64. Members that are not known are left alone. */
const MEMBERS = { rsa: 'rsa_signature', ec: 'ecdsa_signature' } as const;

export function encodeCertificates(chain: readonly Uint8Array[]): Uint8Array {
  return encode({ certificates: chain.map(base64) });
}

/** DER certificates, leaf first; 1 to `maxCertificates`. @throws TrustplaneError ERR_NODE_ATTEST_PAYLOAD */
export function parseCertificates(payload: Uint8Array, maxCertificates: number): Uint8Array[] {
  const read = new MessageReader('ERR_NODE_ATTEST_PAYLOAD', 'the attestation data');
  const list = read.document(payload, MAX_PAYLOAD_BYTES).get('certificates');
  if (!Array.isArray(list) || list.length === 0) throw read.refused('has no list "certificates"');
  if (list.length > maxCertificates) {
    throw read.refused(`has ${list.length} certificates; at most ${maxCertificates} are allowed`);
  }
  return list.map((item: JsonValue, at) => read.base64(item, `certificates[${at}]`));
}

export function encodeChallenge({ kind, nonce }: X509PopChallenge): Uint8Array {
  const absent = { [MEMBERS.rsa]: null, [MEMBERS.ec]: null };
  return encode({ ...absent, [MEMBERS[kind]]: { nonce: base64(nonce) } });
}

/** @throws TrustplaneError ERR_NODE_ATTEST_CHALLENGE */
export function parseChallenge(bytes: Uint8Array): X509PopChallenge {
  const read = new MessageReader('ERR_NODE_ATTEST_CHALLENGE', 'the challenge');
  const { kind, body } = read.variant(bytes);
  return { kind, nonce: read.bytes(body, 'nonce', NONCE_BYTES, NONCE_BYTES) };
}

export function encodeResponse(response: X509PopResponse): Uint8Array {
  const nonce = base64(response.nonce);
  const body =
    response.kind === 'rsa'
      ? { nonce, signature: base64(response.signature) }
      : { nonce, r: base64(response.r), s: base64(response.s) };
  const absent = { [MEMBERS.rsa]: null, [MEMBERS.ec]: null };
  return encode({ ...absent, [MEMBERS[response.kind]]: body });
}

/** @throws TrustplaneError ERR_NODE_ATTEST_RESPONSE */
export function parseResponse(bytes: Uint8Array): X509PopResponse {
  const read = new MessageReader('ERR_NODE_ATTEST_RESPONSE', 'the response');
  const { kind, body } = read.variant(bytes);
  const nonce = read.bytes(body, 'nonce', NONCE_BYTES, NONCE_BYTES);
  if (kind === 'rsa') {
    return { kind, nonce, signature: read.bytes(body, 'signature', 1, MAX_SIGNATURE_BYTES) };
  }
  const r = read.bytes(body, 'r', 1, MAX_NUMBER_BYTES);
  return { kind, nonce, r, s: read.bytes(body, 's', 1, MAX_NUMBER_BYTES) };
}

/** Reads one kind of message, and names it in its refusals. */
class MessageReader {
  readonly #code: ErrorCode;
  readonly #what: string;

  constructor(code: ErrorCode, what: string) {
    this.#code = code;
    this.#what = what;
  }

  refused(why: string): TrustplaneError {
    return new TrustplaneError(this.#code, `${this.#what} ${why}`);
  }

  document(bytes: Uint8Array, maxBytes: number): JsonObject {
    let value: JsonValue;
    try {
      value = parseJson(bytes, { maxBytes, maxDepth: 4 });
    } catch (error) {
      throw this.refused(`cannot be read: ${messageOf(error)}`);
    }
    if (!(value instanceof Map)) throw this.refused('is no JSON object');
    return value;
  }

  /** The one member of the two that is there; null is absent. */
  variant(bytes: Uint8Array): { readonly kind: 'ec' | 'rsa'; readonly body: JsonObject } {
    const message = this.document(bytes, MAX_MESSAGE_BYTES);
    const rsa = message.get(MEMBERS.rsa) ?? undefined;
    const ec = message.get(MEMBERS.ec) ?? undefined;
    if ((rsa === undefined) === (ec === undefined)) {
      throw this.refused(`does not have exactly one of ${MEMBERS.rsa} and ${MEMBERS.ec}`);
    }
    const body = rsa ?? ec;
    if (!(body instanceof Map)) throw this.refused('has a member that is no object');
    return { kind: rsa === undefined ? 'ec' : 'rsa', body };
  }

  base64(value: JsonValue | undefined, name: string): Uint8Array {
    const bytes = typeof value === 'string' ? decodeBase64(value) : undefined;
    if (bytes === undefined) throw this.refused(`has no base64 in ${name}`);
    return bytes;
  }

  bytes(body: JsonObject, name: string, min: number, max: number): Uint8Array {
    const bytes = this.base64(body.get(name), name);
    if (bytes.length >= min && bytes.length <= max) return bytes;
    const expected = min === max ? `${min}` : `${min} to ${max}`;
    throw this.refused(`has ${bytes.length} bytes in ${name}; expected ${expected}`);
  }
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
