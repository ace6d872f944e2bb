/** Who is calling: attests workloads by facts of the kernel. */
export {
  createWorkloadAttestation,
  type WorkloadAttestation,
  type WorkloadAttestationOptions,
} from './workload/attest.ts';
export { createUnixAttestor, type UnixAttestorOptions } from './workload/unix.ts';
export type { AttestableProcess, WorkloadAttestor } from './workload/workload-attestor.ts';
