/** Speaks the SPIFFE Workload API. */
export { createWorkloadApi, type WorkloadApiOptions } from './workload-api.ts';
