import { createHash } from 'node:crypto';
import { base64, encodeMessage, MessageReader } from '../message-reader.ts';
import type { SshSignature } from './ssh-signature.ts';

/** Bytes that each side adds to what is signed. */
export const NONCE_BYTES = 32;
const MAX_PAYLOAD_BYTES = 32_768;
const MAX_CERTIFICATE_BYTES = 16_384;
const MAX_MESSAGE_BYTES = 8_192;
const MAX_FORMAT_CHARACTERS = 64;
/** Of RSA with 8192 bits. */
const MAX_SIGNATURE_BYTES = 1_024;

/** The messages are SPIRE's: JSON, whose names begin with capitals; bytes as base64. */
export interface SshPopResponse {
  readonly nonce: Uint8Array;
  readonly signature: SshSignature;
}

export function encodeCertificate(certificate: Uint8Array): Uint8Array {
  return encodeMessage({ Certificate: base64(certificate) });
}

/** The certificate in OpenSSH's wire format. @throws TrustplaneError ERR_NODE_ATTEST_PAYLOAD */
export function parsePayload(payload: Uint8Array): Uint8Array {
  const read = new MessageReader('ERR_NODE_ATTEST_PAYLOAD', 'the attestation data');
  const document = read.document(payload, MAX_PAYLOAD_BYTES);
  return read.bytes(document, 'Certificate', 1, MAX_CERTIFICATE_BYTES);
}

export function encodeChallenge(nonce: Uint8Array): Uint8Array {
  return encodeMessage({ Nonce: base64(nonce) });
}

/** @throws TrustplaneError ERR_NODE_ATTEST_CHALLENGE */
export function parseChallenge(bytes: Uint8Array): Uint8Array {
  const read = new MessageReader('ERR_NODE_ATTEST_CHALLENGE', 'the challenge');
  const document = read.document(bytes, MAX_MESSAGE_BYTES);
  return read.bytes(document, 'Nonce', NONCE_BYTES, NONCE_BYTES);
}

export function encodeResponse({ nonce, signature }: SshPopResponse): Uint8Array {
  const { format, blob } = signature;
  return encodeMessage({
    Nonce: base64(nonce),
    Signature: { Format: format, Blob: base64(blob), Rest: null },
  });
}

/** @throws TrustplaneError ERR_NODE_ATTEST_RESPONSE */
export function parseResponse(bytes: Uint8Array): SshPopResponse {
  const read = new MessageReader('ERR_NODE_ATTEST_RESPONSE', 'the response');
  const document = read.document(bytes, MAX_MESSAGE_BYTES);
  const nonce = read.bytes(document, 'Nonce', NONCE_BYTES, NONCE_BYTES);
  const signature = document.get('Signature');
  if (!(signature instanceof Map)) throw read.refused('has no object in Signature');
  if ((signature.get('Rest') ?? null) !== null && signature.get('Rest') !== '')
    throw read.refused('has something in Rest, of which no kind of signature knows');
  const format = read.text(signature, 'Format', MAX_FORMAT_CHARACTERS);
  return {
    nonce,
    signature: { format, blob: read.bytes(signature, 'Blob', 1, MAX_SIGNATURE_BYTES) },
  };
}

/** What the node signs. */
export function combineNonces(asked: Uint8Array, own: Uint8Array): Uint8Array {
  return createHash('sha256').update(asked).update(own).digest();
}
