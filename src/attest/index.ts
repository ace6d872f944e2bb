/** Who is calling: attests workloads by facts of the kernel, nodes by what they can prove. */
export { createJoinTokenAttestation, createJoinTokenAttestor } from './node/join-token.ts';
export { createLastKeyAttestation, createLastKeyAttestor } from './node/last-key.ts';
export type {
  AttestedNode,
  Challenge,
  NodeAttestation,
  NodeAttestor,
  NodeEvidence,
} from './node/node-attestor.ts';
export {
  createX509PopAttestation,
  type X509PopAttestationOptions,
  type X509PopIdentity,
} from './node/x509pop-attestation.ts';
export { createX509PopAttestor, type X509PopAttestorOptions } from './node/x509pop-attestor.ts';
export { loadX509PopIdentity, type X509PopFiles } from './node/x509pop-files.ts';
export {
  type AttestorReport,
  createWorkloadAttestation,
  type WorkloadAttestation,
  type WorkloadAttestationOptions,
} from './workload/attest.ts';
export { createDockerAttestor, type DockerAttestorOptions } from './workload/docker.ts';
export { NameDatabase } from './workload/name-database.ts';
export { createQuestionMetrics } from './workload/questions.ts';
export { createUnixAttestor, type UnixAttestorOptions } from './workload/unix.ts';
export type { AttestableProcess, WorkloadAttestor } from './workload/workload-attestor.ts';
