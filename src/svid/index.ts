/** The live WorkloadUpdate per selector set: renews SVIDs, joins bundles, versions it, notifies watchers. */
export type { SvidGrant, SvidIssuer, SvidRequest, SvidResult } from './svid-issuer.ts';
export type { SvidFailure } from './svid-slot.ts';
export type { EntitlementSource } from './workload-cache.ts';
export {
  createWorkloadSource,
  type LiveWorkloadSource,
  type SvidHealth,
  type WorkloadSourceOptions,
} from './workload-source.ts';
