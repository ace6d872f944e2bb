import type { TokenAuthority, X509Authority } from '../spiffe/index.ts';

/** A certification request for an authority. */
export interface MintRequest {
  /** PKCS#10, DER. */
  readonly csr: Uint8Array;
  readonly ttlSeconds: number;
}

/** What an upstream authority made of it. */
export interface MintedAuthority {
  /** DER: the new authority, then what leads up to a root, without that. */
  readonly chain: readonly Uint8Array[];
  /** DER. */
  readonly upstreamRoots: readonly Uint8Array[];
}

/** Whom the trust domain trusts upstream. */
export interface UpstreamTrust {
  readonly x509Authorities: readonly X509Authority[];
  readonly jwtAuthorities: readonly TokenAuthority[];
  /** True when what is missing has been revoked; false when it may only be unknown upstream. */
  readonly isComplete: boolean;
  /** How often upstream wants to be asked; undefined where it does not say. */
  readonly refreshHintSeconds?: number | undefined;
}

/** Signs the X.509 authorities of this server (design D3). */
export interface UpstreamAuthority {
  /** For messages. */
  readonly name: string;
  /** Rejects with a TrustplaneError. */
  mint(request: MintRequest): Promise<MintedAuthority>;
  /** Rejects with a TrustplaneError. */
  fetchTrust(): Promise<UpstreamTrust>;
  /** Makes a JWT authority known upstream; absent where nobody there would take it. */
  publishJwt?(key: Pick<TokenAuthority, 'keyId' | 'publicKey' | 'expiresAt'>): Promise<void>;
}

/** What X.509 authorities need of what stands above them. */
export interface UpstreamSigner {
  mint(request: MintRequest): Promise<MintedAuthority>;
  /** True when a root is tainted or revoked: what stands below it is to be replaced. */
  isRefused(root: Uint8Array): boolean;
  /** Puts a root into the bundle, durably. */
  adopt(root: Uint8Array): Promise<void>;
  /** Calls the listener before a change of `isRefused` shows in the bundle, and waits for it; returns the way to stop. */
  watch(listener: () => Promise<void>): () => void;
}
