import { messageOf, parseJson } from '../../../spiffe/index.ts';
import { refused } from '../cloud/refused.ts';

/** What a node sends: SPIRE's JSON. The older signature, of 1024 bits, is not looked at. */
export interface IidPayload {
  /** As the machine's metadata service gives it. */
  readonly document: string;
  /** PKCS#7 that holds the same document, base64 in lines. */
  readonly rsa2048: string;
}

const MAX_BYTES = 65_536;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/u;

export function encodeIidPayload({ document, rsa2048 }: IidPayload): Uint8Array {
  return Buffer.from(JSON.stringify({ document, signature: '', rsa2048 }));
}

/** @throws TrustplaneError ERR_NODE_ATTEST_PAYLOAD; ERR_NODE_ATTEST_SIGNATURE when there is none */
export function parseIidPayload(payload: Uint8Array): { document: Buffer; message: Buffer } {
  const { document, rsa2048 } = readTexts(payload);
  if (rsa2048 === '') {
    const message =
      'the attestation data has no signature with RSA-2048; older ones are not accepted';
    throw refused('ERR_NODE_ATTEST_SIGNATURE', message);
  }
  const text = rsa2048.replace(/[\r\n]/gu, '');
  if (!BASE64.test(text)) throw malformed('rsa2048 is not base64');
  return { document: Buffer.from(document), message: Buffer.from(text, 'base64') };
}

function readTexts(payload: Uint8Array): IidPayload {
  let root: ReturnType<typeof parseJson>;
  try {
    root = parseJson(payload, { maxBytes: MAX_BYTES, maxDepth: 4 });
  } catch (error) {
    throw malformed(messageOf(error));
  }
  const document = root instanceof Map ? root.get('document') : undefined;
  const rsa2048 = root instanceof Map ? (root.get('rsa2048') ?? '') : undefined;
  if (typeof document === 'string' && typeof rsa2048 === 'string') return { document, rsa2048 };
  throw malformed('expected an object with the texts document and rsa2048');
}

function malformed(why: string): Error {
  return refused('ERR_NODE_ATTEST_PAYLOAD', `the attestation data cannot be read: ${why}`);
}
