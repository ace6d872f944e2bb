import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { TokenAuthority } from '../../src/spiffe/index.ts';

/** A key that signs JWT-SVIDs, and the authority that stands for it in a bundle. */
export interface TestTokenKey {
  readonly authority: TokenAuthority;
  /** Claims by `sub`, `aud`, ..., or JSON; other members of the header take the place of the usual ones. */
  token(claims: object | string, header?: object): string;
}

/** ES256, or RS256 with a modulus of so many bits. */
export function makeTokenKey(keyId: string, rsaBits?: number): TestTokenKey {
  const { publicKey, privateKey } =
    rsaBits === undefined
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: rsaBits });
  const alg = rsaBits === undefined ? 'ES256' : 'RS256';
  return {
    authority: {
      keyId,
      publicKey: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })),
      expiresAt: undefined,
      tainted: false,
    },
    token: (claims, header = {}) => {
      const input = `${part({ alg, kid: keyId, typ: 'JWT', ...header })}.${part(claims)}`;
      return `${input}.${signatureOf(input, privateKey).toString('base64url')}`;
    },
  };
}

function part(value: object | string): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return Buffer.from(text).toString('base64url');
}

function signatureOf(input: string, key: KeyObject): Buffer {
  return sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
}
