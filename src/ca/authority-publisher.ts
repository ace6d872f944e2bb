import type { TokenAuthority } from '../spiffe/index.ts';
import type { Authority } from './authority.ts';

/** How one authority stands in the bundle that everyone here trusts now. */
export interface Publication {
  /** Since when, in milliseconds since the epoch. */
  readonly publishedAt: number;
  readonly isTainted: boolean;
}

/**
 * What X.509 authorities need of the own trust domain's bundle; they are named by their certificate
 * (DER). Once a change resolves it is durable, and every reader of the trust map here sees it.
 */
export interface X509AuthorityPublisher {
  /** Undefined when it is not in the bundle. */
  find(certificate: Uint8Array): Publication | undefined;
  publish(certificate: Uint8Array): Promise<void>;
  /** Takes it out; nothing happens when it is not there. */
  withdraw(certificate: Uint8Array): Promise<void>;
  /** Takes it out for good: no server can publish it again. */
  revoke(certificate: Uint8Array): Promise<void>;
  isRevoked(certificate: Uint8Array): boolean;
  /** Everything signed by it is to be replaced; nothing happens when it is not there. */
  taint(certificate: Uint8Array): Promise<void>;
}

/** The same for JWT authorities, which are named by their key ID. */
export interface JwtAuthorityPublisher {
  findJwt(keyId: string): Publication | undefined;
  publishJwt(key: Pick<TokenAuthority, 'keyId' | 'publicKey' | 'expiresAt'>): Promise<void>;
  withdrawJwt(keyId: string): Promise<void>;
  /** `expiresAt`: when it has ended by itself, milliseconds since the epoch. */
  revokeJwt(keyId: string, expiresAt: number): Promise<void>;
  isJwtRevoked(keyId: string): boolean;
  taintJwt(keyId: string): Promise<void>;
}

/** The same for authorities of any kind. */
export interface AuthorityPublisher<A extends Authority> {
  find(authority: A): Publication | undefined;
  /** True when it has to be replaced whatever its time: another server, or what stands above it, says so. */
  isRefused(authority: A): boolean;
  publish(authority: A): Promise<void>;
  withdraw(authority: A): Promise<void>;
  revoke(authority: A): Promise<void>;
  taint(authority: A): Promise<void>;
}
