import type { TrustplaneError } from '../spiffe/index.ts';

/** One X509-SVID to issue: for this entry, for the key that signed the request. */
export interface SvidRequest {
  readonly entryId: string;
  /** PKCS#10 DER. */
  readonly csr: Uint8Array;
}

export interface SvidGrant {
  /** DER, leaf first, without the root. */
  readonly certificateChain: readonly Uint8Array[];
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export type SvidResult = SvidGrant | { readonly error: TrustplaneError };

/** Who signs: the CA in the same process, or a server. Results stand in the order of the requests. */
export interface SvidIssuer {
  issue(requests: readonly SvidRequest[]): Promise<readonly SvidResult[]>;
}
