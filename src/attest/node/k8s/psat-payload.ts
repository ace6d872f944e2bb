import { encodeMessage, MessageReader } from '../message-reader.ts';

const MAX_PAYLOAD_BYTES = 32_768;
const MAX_CLUSTER_CHARACTERS = 64;
const MAX_TOKEN_CHARACTERS = 16_384;
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/u;

/** What an agent in a pod shows: its projected service account token, and whose it is. As SPIRE's, in JSON. */
export interface PsatPayload {
  readonly cluster: string;
  readonly token: string;
}

export function encodePsatPayload({ cluster, token }: PsatPayload): Uint8Array {
  return encodeMessage({ cluster, token });
}

/** @throws TrustplaneError ERR_NODE_ATTEST_PAYLOAD */
export function parsePsatPayload(payload: Uint8Array): PsatPayload {
  const read = new MessageReader('ERR_NODE_ATTEST_PAYLOAD', 'the attestation data');
  const document = read.document(payload, MAX_PAYLOAD_BYTES);
  const cluster = read.text(document, 'cluster', MAX_CLUSTER_CHARACTERS);
  const token = read.text(document, 'token', MAX_TOKEN_CHARACTERS);
  if (TOKEN.test(token)) return { cluster, token };
  throw read.refused('has a token that is not three parts in base64url');
}
