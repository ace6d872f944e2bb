import {
  type AccessToken,
  type AskHttp,
  type AzureTenant,
  createApplicationAccess,
  createAzureMachineAccess,
  createAzureMsiAttestation,
  createAzureMsiAttestor,
  createKeySource,
  describeMachine,
  fetchTenantKeys,
  type NodeAttestation,
  type NodeAttestor,
} from '../../attest/index.ts';
import type { AttestorContext } from './attestor-context.ts';
import {
  AZURE_METADATA,
  AZURE_RESOURCE,
  type AzureMsiAgentFile,
  type AzureMsiServerFile,
  type AzureTenantFile,
} from './azure-msi-schema.ts';
import { loadSecretFile, openAskHttp, openMetadataAsk } from './cloud-files.ts';

const AUTHORITY = 'https://login.microsoftonline.com';
const ARM_ENDPOINT = 'https://management.azure.com';
/** Of tokens of the first version. */
const FIRST_ISSUER = 'https://sts.windows.net';
const FIRST_ISSUER_IN_CHINA = 'https://sts.chinacloudapi.cn';

/**
 * The server's side.
 * @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES, ERR_NODE_ATTEST_TEMPLATE, ERR_FILE_READ,
 * ERR_FILE_TOO_LARGE
 */
export async function openAzureMsiAttestor(
  file: AzureMsiServerFile,
  context: AttestorContext,
): Promise<NodeAttestor> {
  const ask = await openAskHttp(file.caFile);
  const tenants = new Map(
    file.tenants.map((tenant) => [tenant.id, openTenant(ask, tenant, file, context)]),
  );
  return createAzureMsiAttestor({
    ...context,
    tenants,
    agentPathTemplate: file.agentPathTemplate,
  });
}

/** The agent's side. */
export function openAzureMsiAttestation(file: AzureMsiAgentFile): NodeAttestation {
  return createAzureMsiAttestation(openMetadataAsk(), {
    endpoint: file.metadataEndpoint ?? AZURE_METADATA,
    resourceId: file.resourceId ?? AZURE_RESOURCE,
  });
}

function openTenant(
  ask: AskHttp,
  tenant: AzureTenantFile,
  file: AzureMsiServerFile,
  context: AttestorContext,
): AzureTenant {
  const { id, resourceId = AZURE_RESOURCE, subscriptionId } = tenant;
  const { authority = AUTHORITY, armEndpoint: endpoint = ARM_ENDPOINT } = file;
  const first = authority.endsWith('.cn') ? FIRST_ISSUER_IN_CHINA : FIRST_ISSUER;
  const fetchKeys = async () => await fetchTenantKeys(ask, authority, id);
  const token = openAccess(ask, tenant, file, context);
  const describe =
    subscriptionId === undefined
      ? undefined
      : async (principalId: string) =>
          await describeMachine({ ask, token, endpoint, subscriptionId }, principalId);
  return {
    resourceId,
    issuers: [`${first}/${id}/`, `${authority}/${id}/v2.0`],
    keys: createKeySource({ ...context, fetchKeys, issuer: `the tenant ${id}` }),
    describe,
  };
}

function openAccess(
  ask: AskHttp,
  { id: tenantId, appId, appSecretFile }: AzureTenantFile,
  { authority = AUTHORITY, armEndpoint = ARM_ENDPOINT, metadataEndpoint }: AzureMsiServerFile,
  { clock }: AttestorContext,
): AccessToken {
  if (appId === undefined || appSecretFile === undefined) {
    const places = { metadataEndpoint: metadataEndpoint ?? AZURE_METADATA, armEndpoint };
    return createAzureMachineAccess(openMetadataAsk(), clock, places);
  }
  const loadSecret = async () => await loadSecretFile(appSecretFile);
  const application = { tenantId, appId, loadSecret };
  return createApplicationAccess(ask, clock, { authority, armEndpoint, application });
}
