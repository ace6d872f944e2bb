import type { Clock } from '../../../spiffe/index.ts';
import { type AccessToken, createAccessToken } from '../cloud/access-token.ts';
import { askCloudJson } from '../cloud/ask-cloud.ts';
import type { AskHttp } from '../cloud/ask-http.ts';
import { AZURE_METADATA_HEADERS, machineTokenUrl } from './azure-msi-attestation.ts';

/** An application of a tenant. */
export interface AzureApplication {
  readonly tenantId: string;
  readonly appId: string;
  /** Asked at each token. */
  readonly loadSecret: () => Promise<string>;
}

/** Tokens for Azure Resource Manager, of the managed identity of the machine this server runs on. */
export function createAzureMachineAccess(
  ask: AskHttp,
  clock: Clock,
  places: { readonly metadataEndpoint: string; readonly armEndpoint: string },
): AccessToken {
  const url = machineTokenUrl(places.metadataEndpoint, `${places.armEndpoint}/`);
  return createAccessToken(
    clock,
    async () => await askCloudJson(ask, url, { headers: AZURE_METADATA_HEADERS }),
  );
}

/** Tokens for Azure Resource Manager, of an application (RFC 6749 §4.4). */
export function createApplicationAccess(
  ask: AskHttp,
  clock: Clock,
  options: {
    readonly authority: string;
    readonly armEndpoint: string;
    readonly application: AzureApplication;
  },
): AccessToken {
  const { authority, armEndpoint, application } = options;
  return createAccessToken(clock, async () => {
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: application.appId,
      client_secret: await application.loadSecret(),
      scope: `${armEndpoint}/.default`,
    });
    return await askCloudJson(ask, `${authority}/${application.tenantId}/oauth2/v2.0/token`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: body.toString(),
    });
  });
}
