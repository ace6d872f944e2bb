import {
  type AccessToken,
  type AskHttp,
  askCloud,
  createGcpDescribe,
  createGcpIitAttestation,
  createGcpIitAttestor,
  createKeyAccess,
  createKeySource,
  createMachineAccess,
  type NodeAttestation,
  type NodeAttestor,
  parseServiceAccountKey,
} from '../../attest/index.ts';
import type { AttestorContext } from './attestor-context.ts';
import { loadSecretFile, openAskHttp, openMetadataAsk } from './cloud-files.ts';
import {
  GCP_METADATA,
  type GcpIitAgentFile,
  type GcpIitServerFile,
  type GcpInstanceFile,
} from './gcp-iit-schema.ts';

const KEYS_ENDPOINT = 'https://www.googleapis.com';
const COMPUTE_ENDPOINT = 'https://compute.googleapis.com';

/**
 * The server's side.
 * @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES, ERR_NODE_ATTEST_TEMPLATE, ERR_FILE_READ,
 * ERR_FILE_TOO_LARGE
 */
export async function openGcpIitAttestor(
  file: GcpIitServerFile,
  context: AttestorContext,
): Promise<NodeAttestor> {
  const ask = await openAskHttp(file.caFile);
  const url = `${file.keysEndpoint ?? KEYS_ENDPOINT}/oauth2/v3/certs`;
  const fetchKeys = async () => await askCloud(ask, url);
  return createGcpIitAttestor({
    ...context,
    projects: new Set(file.projects),
    keys: createKeySource({ ...context, fetchKeys, issuer: 'Google' }),
    describe: file.instance && (await openDescribe(ask, file.instance, context)),
    agentPathTemplate: file.agentPathTemplate,
  });
}

/** The agent's side. */
export function openGcpIitAttestation(file: GcpIitAgentFile): NodeAttestation {
  return createGcpIitAttestation(openMetadataAsk(), {
    endpoint: file.metadataEndpoint ?? GCP_METADATA,
    serviceAccount: file.serviceAccount ?? 'default',
  });
}

async function openDescribe(ask: AskHttp, file: GcpInstanceFile, context: AttestorContext) {
  return createGcpDescribe({
    ask,
    token: await openAccess(ask, file, context),
    endpoint: file.computeEndpoint ?? COMPUTE_ENDPOINT,
    labels: new Set(file.labels),
    metadata: new Set(file.metadata),
    maxValueBytes: file.maxMetadataValueBytes ?? 128,
  });
}

async function openAccess(
  ask: AskHttp,
  { serviceAccountFile, metadataEndpoint }: GcpInstanceFile,
  { clock }: AttestorContext,
): Promise<AccessToken> {
  if (serviceAccountFile === undefined) {
    return createMachineAccess(openMetadataAsk(), clock, metadataEndpoint ?? GCP_METADATA);
  }
  const key = parseServiceAccountKey(Buffer.from(await loadSecretFile(serviceAccountFile)));
  return createKeyAccess(ask, clock, key);
}
