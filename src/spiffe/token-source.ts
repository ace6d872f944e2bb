import type { Bundle } from './bundle.ts';
import type { JwtSvid } from './jwt-svid.ts';
import type { SpiffeId } from './spiffe-id.ts';

/** One JWT-SVID, as a workload receives it. Immutable. */
export interface JwtIdentity {
  readonly entryId: string;
  readonly spiffeId: SpiffeId;
  /** Empty when there is none; unique within an answer (the oldest entry keeps it). */
  readonly hint: string;
  /** JWS compact serialization. */
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface JwtIdentityRequest {
  /** At least one; see `parseAudience`. */
  readonly audience: readonly string[];
  /** Undefined: all that the workload is entitled to. */
  readonly spiffeId: SpiffeId | undefined;
}

/** Whose SVIDs one workload may verify at one moment. */
export interface WorkloadTrust {
  /** False: no entry gives the workload an identity. */
  readonly hasIdentity: boolean;
  readonly own: Bundle;
  /** Bundles of the trust domains some identity federates with, by trust domain name. */
  readonly federated: ReadonlyMap<string, Bundle>;
  /** Whether a JWT-SVID is older than a revocation of its ID; one that does not say its age is. */
  /** Whether the terms of the ID's trust domain let it in. */
  isAccepted(id: SpiffeId): boolean;
  isRevoked(svid: Pick<JwtSvid, 'spiffeId' | 'issuedAt'>): boolean;
}

/**
 * Where services get what is asked for once. The workload is attested for each question; `signal` takes
 * the question back. Both reject when the process is gone or cannot be attested.
 */
export interface TokenSource<Peer> {
  /** In stable order, the default identity first; empty when the workload is entitled to none of them. */
  fetchJwtSvids(
    peer: Peer,
    request: JwtIdentityRequest,
    signal: AbortSignal,
  ): Promise<readonly JwtIdentity[]>;
  fetchTrust(peer: Peer, signal: AbortSignal): Promise<WorkloadTrust>;
}
