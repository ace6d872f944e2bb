import type { JsonObject, JsonValue } from '../../spiffe/index.ts';
import { base64, encodeMessage, MessageReader } from './message-reader.ts';

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
  return encodeMessage({ certificates: chain.map(base64) });
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
  return encodeMessage({ ...absent, [MEMBERS[kind]]: { nonce: base64(nonce) } });
}

/** @throws TrustplaneError ERR_NODE_ATTEST_CHALLENGE */
export function parseChallenge(bytes: Uint8Array): X509PopChallenge {
  const read = new MessageReader('ERR_NODE_ATTEST_CHALLENGE', 'the challenge');
  const { kind, body } = readVariant(read, bytes);
  return { kind, nonce: read.bytes(body, 'nonce', NONCE_BYTES, NONCE_BYTES) };
}

export function encodeResponse(response: X509PopResponse): Uint8Array {
  const nonce = base64(response.nonce);
  const body =
    response.kind === 'rsa'
      ? { nonce, signature: base64(response.signature) }
      : { nonce, r: base64(response.r), s: base64(response.s) };
  const absent = { [MEMBERS.rsa]: null, [MEMBERS.ec]: null };
  return encodeMessage({ ...absent, [MEMBERS[response.kind]]: body });
}

/** @throws TrustplaneError ERR_NODE_ATTEST_RESPONSE */
export function parseResponse(bytes: Uint8Array): X509PopResponse {
  const read = new MessageReader('ERR_NODE_ATTEST_RESPONSE', 'the response');
  const { kind, body } = readVariant(read, bytes);
  const nonce = read.bytes(body, 'nonce', NONCE_BYTES, NONCE_BYTES);
  if (kind === 'rsa') {
    return { kind, nonce, signature: read.bytes(body, 'signature', 1, MAX_SIGNATURE_BYTES) };
  }
  const r = read.bytes(body, 'r', 1, MAX_NUMBER_BYTES);
  return { kind, nonce, r, s: read.bytes(body, 's', 1, MAX_NUMBER_BYTES) };
}

/** The one member of the two that is there; null is absent. */
function readVariant(
  read: MessageReader,
  bytes: Uint8Array,
): { readonly kind: 'ec' | 'rsa'; readonly body: JsonObject } {
  const message = read.document(bytes, MAX_MESSAGE_BYTES);
  const rsa = message.get(MEMBERS.rsa) ?? undefined;
  const ec = message.get(MEMBERS.ec) ?? undefined;
  if ((rsa === undefined) === (ec === undefined)) {
    throw read.refused(`does not have exactly one of ${MEMBERS.rsa} and ${MEMBERS.ec}`);
  }
  const body = rsa ?? ec;
  if (!(body instanceof Map)) throw read.refused('has a member that is no object');
  return { kind: rsa === undefined ? 'ec' : 'rsa', body };
}
