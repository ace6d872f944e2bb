import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';

/** What an account is known by; P-256. */
export interface AccountKey {
  readonly jwk: {
    readonly crv: string;
    readonly kty: 'EC';
    readonly x: string;
    readonly y: string;
  };
  /** RFC 7638 */
  readonly thumbprint: string;
  /** JWS flattened JSON serialization, ES256; an empty payload is none (RFC 8555, section 6.3). */
  sign(header: object, payload: object | undefined): string;
}

/** @param privateKey PKCS#8 DER of a P-256 key */
export function createAccountKey(privateKey: Uint8Array): AccountKey {
  const key = createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' });
  const { crv = '', x = '', y = '' } = createPublicKey(key).export({ format: 'jwk' });
  const jwk = { crv, kty: 'EC', x, y } as const;
  return {
    jwk,
    // The members are in the order that the RFC wants.
    thumbprint: createHash('sha256').update(JSON.stringify(jwk)).digest('base64url'),
    sign: (header, payload) => signFlattened(key, header, payload),
  };
}

function signFlattened(key: KeyObject, header: object, payload: object | undefined): string {
  const head = encode(JSON.stringify({ alg: 'ES256', ...header }));
  const body = payload === undefined ? '' : encode(JSON.stringify(payload));
  const signature = sign('sha256', Buffer.from(`${head}.${body}`), {
    key,
    dsaEncoding: 'ieee-p1363',
  });
  return JSON.stringify({
    protected: head,
    payload: body,
    signature: signature.toString('base64url'),
  });
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64url');
}
