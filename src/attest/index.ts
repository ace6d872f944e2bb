/** Who is calling: attests workloads by facts of the kernel, nodes by what they can prove. */
export { createAwsApi } from './node/aws/aws-api.ts';
export {
  createInstanceRole,
  type LoadCredentials,
  parseCredentialsFile,
} from './node/aws/aws-credentials.ts';
export { createAwsIidAttestation } from './node/aws/aws-iid-attestation.ts';
export { type AwsIidAttestorOptions, createAwsIidAttestor } from './node/aws/aws-iid-attestor.ts';
export { createImds } from './node/aws/imds.ts';
export { loadRegionKeys } from './node/aws/load-region-keys.ts';
export { describeMachine } from './node/azure/arm-api.ts';
export { createApplicationAccess, createAzureMachineAccess } from './node/azure/azure-access.ts';
export { createAzureMsiAttestation } from './node/azure/azure-msi-attestation.ts';
export { type AzureTenant, createAzureMsiAttestor } from './node/azure/azure-msi-attestor.ts';
export { fetchTenantKeys } from './node/azure/tenant-keys.ts';
export type { AccessToken } from './node/cloud/access-token.ts';
export { askCloud } from './node/cloud/ask-cloud.ts';
export { type AskHttp, createAskHttp } from './node/cloud/ask-http.ts';
export { createKeySource } from './node/cloud/key-source.ts';
export { createGcpDescribe } from './node/gcp/describe-instance.ts';
export { createGcpIitAttestation } from './node/gcp/gcp-iit-attestation.ts';
export { createGcpIitAttestor } from './node/gcp/gcp-iit-attestor.ts';
export {
  createKeyAccess,
  createMachineAccess,
  parseServiceAccountKey,
} from './node/gcp/google-access.ts';
export {
  createHttpChallengeAttestation,
  type HttpChallengeAttestationOptions,
} from './node/http/http-challenge-attestation.ts';
export {
  createHttpChallengeAttestor,
  type HttpChallengeAttestorOptions,
} from './node/http/http-challenge-attestor.ts';
export { createJoinTokenAttestation, createJoinTokenAttestor } from './node/join-token.ts';
export { fetchIssuerKeys } from './node/k8s/issuer-keys.ts';
export { createK8sPsatAttestation } from './node/k8s/k8s-psat-attestation.ts';
export { createK8sPsatAttestor, type PsatCluster } from './node/k8s/k8s-psat-attestor.ts';
export { loadInClusterAccess, loadKubeconfig } from './node/k8s/kube-access.ts';
export { createKubeApi } from './node/k8s/kube-api.ts';
export type { ClusterVerifier } from './node/k8s/pod-facts.ts';
export { createReviewVerifier } from './node/k8s/review-verifier.ts';
export { createTokenVerifier } from './node/k8s/token-verifier.ts';
export { createLastKeyAttestation, createLastKeyAttestor } from './node/last-key.ts';
export type {
  AttestedNode,
  Challenge,
  NodeAttestation,
  NodeAttestor,
  NodeEvidence,
} from './node/node-attestor.ts';
export {
  createSshPopAttestation,
  loadSshHostIdentity,
  type SshHostIdentity,
  type SshPopAttestationOptions,
} from './node/ssh/sshpop-attestation.ts';
export { createSshPopAttestor, type SshPopAttestorOptions } from './node/ssh/sshpop-attestor.ts';
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
export { createK8sAttestor, type K8sAttestorOptions } from './workload/k8s.ts';
export type { KubeletOptions } from './workload/kubelet.ts';
export { findContainerProcesses, findProcess } from './workload/local-process.ts';
export { NameDatabase } from './workload/name-database.ts';
export { createQuestionMetrics } from './workload/questions.ts';
export { createSystemdAttestor, type SystemdAttestorOptions } from './workload/systemd.ts';
export { createUnixAttestor, type UnixAttestorOptions } from './workload/unix.ts';
export type { AttestableProcess, WorkloadAttestor } from './workload/workload-attestor.ts';
