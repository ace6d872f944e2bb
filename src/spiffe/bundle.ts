import type { TrustDomain } from './trust-domain.ts';

/** A CA certificate that signs X509-SVIDs of its trust domain. */
export interface X509Authority {
  /** DER of the certificate. */
  readonly certificate: Uint8Array;
  /** Everything signed by it is to be replaced. */
  readonly tainted: boolean;
}

/** A public key that signs JWT-SVIDs or WIT-SVIDs of its trust domain. */
export interface TokenAuthority {
  readonly keyId: string;
  /** Public key, SubjectPublicKeyInfo DER. */
  readonly publicKey: Uint8Array;
  /** Milliseconds since the epoch, or undefined for never. */
  readonly expiresAt: number | undefined;
  readonly tainted: boolean;
}

/** The public keys of one trust domain (SPIFFE Trust Domain and Bundle §3). Immutable. */
export interface Bundle {
  readonly trustDomain: TrustDomain;
  readonly x509Authorities: readonly X509Authority[];
  readonly jwtAuthorities: readonly TokenAuthority[];
  readonly witAuthorities: readonly TokenAuthority[];
  /** Rises with every change of content; 64 bits and more. */
  readonly sequenceNumber: bigint | undefined;
  /** Seconds. */
  readonly refreshHintSeconds: number | undefined;
}
