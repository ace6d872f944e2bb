import { createHmac, type KeyObject, sign } from 'node:crypto';

/** What a test wants to be different in a token. */
export interface TokenOptions {
  readonly header?: object;
  /** As text, where it is no JSON that `JSON.stringify` would write. */
  readonly payload?: string;
  /** Default what the key signs with RS256. */
  readonly signature?: (input: string) => Buffer;
}

/** A JWS in compact serialization, signed with RS256 unless told otherwise. */
export function makeToken(
  key: KeyObject,
  keyId: string,
  claims: object,
  options: TokenOptions = {},
): string {
  const header = { alg: 'RS256', kid: keyId, typ: 'JWT', ...options.header };
  const parts = [JSON.stringify(header), options.payload ?? JSON.stringify(claims)];
  const input = parts.map((part) => Buffer.from(part).toString('base64url')).join('.');
  const signature = options.signature?.(input) ?? sign('sha256', Buffer.from(input), key);
  return `${input}.${signature.toString('base64url')}`;
}

/** HS256 with the text of a public key for a secret. */
export function hmacOf(secret: string): (input: string) => Buffer {
  return (input) => createHmac('sha256', secret).update(input).digest();
}
