import {
  createAwsApi,
  createAwsIidAttestation,
  createAwsIidAttestor,
  createImds,
  createInstanceRole,
  type LoadCredentials,
  loadRegionKeys,
  type NodeAttestation,
  type NodeAttestor,
  parseCredentialsFile,
} from '../../attest/index.ts';
import type { AttestorContext } from './attestor-context.ts';
import { AWS_METADATA, type AwsIidAgentFile, type AwsIidServerFile } from './aws-iid-schema.ts';
import { loadSecretFile, openAskHttp, openMetadataAsk } from './cloud-files.ts';

/**
 * The server's side.
 * @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES, ERR_NODE_ATTEST_TEMPLATE, ERR_FILE_READ,
 * ERR_FILE_TOO_LARGE
 */
export async function openAwsIidAttestor(
  file: AwsIidServerFile,
  context: AttestorContext,
): Promise<NodeAttestor> {
  const { ec2Endpoint: ec2, iamEndpoint: iam, stsEndpoint: sts, assumeRole } = file;
  const api = createAwsApi({
    ask: await openAskHttp(file.caFile),
    clock: context.clock,
    credentials: openCredentials(file, context),
    assumeRole,
    endpoints: { ec2, iam, sts },
  });
  return createAwsIidAttestor({
    ...context,
    api,
    accounts: file.accounts && new Set(file.accounts),
    keys: await loadRegionKeys(file.certificatesFolder),
    maxInstanceAgeMs: file.maxInstanceAge,
    skipBlockDevice: file.skipBlockDevice,
    roleSelectors: file.roleSelectors,
    agentPathTemplate: file.agentPathTemplate,
  });
}

/** The agent's side. */
export function openAwsIidAttestation({ metadataEndpoint }: AwsIidAgentFile): NodeAttestation {
  return createAwsIidAttestation(createImds(openMetadataAsk(), metadataEndpoint ?? AWS_METADATA));
}

function openCredentials(
  { credentialsFile, metadataEndpoint }: AwsIidServerFile,
  { clock }: AttestorContext,
): LoadCredentials {
  if (credentialsFile !== undefined) {
    return async () => parseCredentialsFile(await loadSecretFile(credentialsFile));
  }
  return createInstanceRole(createImds(openMetadataAsk(), metadataEndpoint ?? AWS_METADATA), clock);
}
