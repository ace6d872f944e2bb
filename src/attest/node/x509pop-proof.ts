import { constants, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { Certificate } from '../../spiffe/index.ts';
import type { X509PopChallenge, X509PopResponse } from './x509pop-messages.ts';

const HASH = 'sha256';
const CURVE_BYTES = { 'P-256': 32, 'P-384': 48, 'P-521': 66 } as const;
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING } as const;

/** Signs both nonces, the server's first, with the key of the node. */
export function signNonces(
  privateKey: KeyObject,
  { kind, nonce: asked }: X509PopChallenge,
  nonce: Uint8Array,
): X509PopResponse {
  const message = Buffer.concat([asked, nonce]);
  if (kind === 'rsa') {
    const saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
    return { kind, nonce, signature: sign(HASH, message, { key: privateKey, ...PSS, saltLength }) };
  }
  const pair = sign(HASH, message, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  const half = pair.length / 2;
  return {
    kind,
    nonce,
    r: withoutLeadingZeros(pair.subarray(0, half)),
    s: withoutLeadingZeros(pair.subarray(half)),
  };
}

/** True when the key of the certificate signed both nonces. */
export function isProof(
  { publicKey, keyAlgorithm }: Certificate,
  { nonce: asked }: X509PopChallenge,
  response: X509PopResponse,
): boolean {
  const message = Buffer.concat([asked, response.nonce]);
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
    if (response.kind === 'rsa' && keyAlgorithm.kind === 'rsa') {
      // SPIRE's salt is as long as fits.
      const saltLength = constants.RSA_PSS_SALTLEN_AUTO;
      return verify(HASH, message, { key, ...PSS, saltLength }, response.signature);
    }
    if (response.kind !== 'ec' || keyAlgorithm.kind !== 'ec') return false;
    const size = CURVE_BYTES[keyAlgorithm.curve];
    const pair = Buffer.concat([padded(response.r, size), padded(response.s, size)]);
    return verify(HASH, message, { key, dsaEncoding: 'ieee-p1363' }, pair);
  } catch {
    // A point that is not on its curve, or a number that is too long.
    return false;
  }
}

function withoutLeadingZeros(number: Uint8Array): Uint8Array {
  const first = number.findIndex((octet) => octet !== 0);
  return number.subarray(first === -1 ? number.length - 1 : first);
}

function padded(number: Uint8Array, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes.set(number, size - number.length);
  return bytes;
}
