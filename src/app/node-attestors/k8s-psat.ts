import { env } from 'node:process';
import {
  type ClusterVerifier,
  createAskHttp,
  createK8sPsatAttestation,
  createK8sPsatAttestor,
  createKeySource,
  createKubeApi,
  createReviewVerifier,
  createTokenVerifier,
  fetchIssuerKeys,
  loadInClusterAccess,
  loadKubeconfig,
  type NodeAttestation,
  type NodeAttestor,
  type PsatCluster,
} from '../../attest/index.ts';
import { readFileBounded } from '../../ops/index.ts';
import { TrustplaneError } from '../../spiffe/index.ts';
import type { AttestorContext } from './attestor-context.ts';
import { openAskHttp } from './cloud-files.ts';
import type {
  K8sClusterFile,
  K8sOfflineFile,
  K8sPsatAgentFile,
  K8sPsatServerFile,
} from './k8s-psat-schema.ts';
import { loadToken } from './load-token.ts';

const DEFAULT_AUDIENCES = ['spire-server'];
const DEFAULT_TOKEN_FILE = '/var/run/secrets/tokens/spire-agent';
const MAX_TOKEN_BYTES = 16_384;
const MAX_JWKS_BYTES = 1_048_576;

/** The server's side. @throws TrustplaneError ERR_NODE_ATTEST_KUBECONFIG, ERR_NODE_ATTEST_AUTHORITIES, ERR_FILE_* */
export async function openK8sPsatAttestor(
  { clusters }: K8sPsatServerFile,
  context: AttestorContext,
): Promise<NodeAttestor> {
  const opened: PsatCluster[] = [];
  for (const file of clusters) {
    opened.push({
      name: file.name,
      verifier: await openVerifier(file, context),
      serviceAccounts: new Set(file.serviceAccountAllowList),
      nodeLabelKeys: new Set(file.allowedNodeLabelKeys),
      podLabelKeys: new Set(file.allowedPodLabelKeys),
      usesPodUid: file.usePodUidForAgentId ?? false,
    });
  }
  return createK8sPsatAttestor(opened, context.log);
}

/** The agent's side; the token is read at each attestation. */
export function openK8sPsatAttestation({ cluster, tokenFile }: K8sPsatAgentFile): NodeAttestation {
  const path = tokenFile ?? DEFAULT_TOKEN_FILE;
  const load = () => loadToken(path, MAX_TOKEN_BYTES, 'the service account token');
  return createK8sPsatAttestation({ cluster, loadToken: load });
}

async function openVerifier(
  { audience: audiences = DEFAULT_AUDIENCES, kubeConfigFile, offline }: K8sClusterFile,
  context: AttestorContext,
): Promise<ClusterVerifier> {
  if (offline !== undefined) {
    const { issuer } = offline;
    const keys = createKeySource({ ...context, issuer, fetchKeys: await openKeys(offline) });
    return createTokenVerifier({ ...context, issuer, audiences, keys });
  }
  const access = () =>
    kubeConfigFile === undefined ? loadInClusterAccess(env) : loadKubeconfig(kubeConfigFile);
  // What is wrong with it is better said now.
  await access();
  return createReviewVerifier(createKubeApi({ access, openAsk: createAskHttp }), audiences);
}

async function openKeys({ issuer, jwksFile, caFile }: K8sOfflineFile) {
  if (jwksFile !== undefined) return async () => await loadJwks(jwksFile);
  const ask = await openAskHttp(caFile);
  return async () => await fetchIssuerKeys(ask, issuer);
}

async function loadJwks(path: string): Promise<Uint8Array> {
  const bytes = await readFileBounded(path, MAX_JWKS_BYTES);
  if (bytes !== undefined) return bytes;
  throw new TrustplaneError('ERR_NODE_ATTEST_AUTHORITIES', `there is no file ${path}`);
}
