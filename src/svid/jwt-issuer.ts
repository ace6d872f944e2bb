import type { SpiffeId } from '../spiffe/index.ts';

/** One JWT-SVID to issue: for this entry, for this audience. */
export interface JwtRequest {
  readonly entryId: string;
  readonly spiffeId: SpiffeId;
  /** At least one. */
  readonly audience: readonly string[];
}

export interface JwtGrant {
  /** JWS compact serialization. */
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** Who signs: the CA in the same process, or a server. */
export interface JwtIssuer {
  issue(request: JwtRequest): Promise<JwtGrant>;
}
