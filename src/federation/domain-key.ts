import type { TrustDomain } from '../spiffe/index.ts';

/** `<kind>.<base64url of the trust domain's name>`: a name may have characters and an order of dots that keys have not. */
export function domainKey(kind: string, { name }: TrustDomain): string {
  return `${kind}.${Buffer.from(name).toString('base64url')}`;
}

/** The name in a key of `domainKey`. */
export function domainOfKey(key: string): string {
  return Buffer.from(key.slice(key.indexOf('.') + 1), 'base64url').toString('latin1');
}
