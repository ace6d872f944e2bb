/** The live WorkloadUpdate per selector set: renews SVIDs, joins bundles, versions it, notifies watchers. */
export type { CrlSource } from './crl-source.ts';
export type { IssuedSvid } from './issued-svid.ts';
export type { JwtGrant, JwtIssuer, JwtRequest } from './jwt-issuer.ts';
export type { RestoredSvid } from './restored-svid.ts';
export type { RevocationSource } from './revocation-source.ts';
export type { SvidGrant, SvidIssuer, SvidRequest, SvidResult } from './svid-issuer.ts';
export type { SvidFailure, SvidStanding } from './svid-slot.ts';
export {
  createTokenSource,
  type LiveTokenSource,
  type TokenSourceOptions,
} from './token-source.ts';
export type { EntitlementSource } from './workload-cache.ts';
export {
  createWorkloadSource,
  type LiveWorkloadSource,
  type SvidHealth,
  type WorkloadSourceOptions,
} from './workload-source.ts';
