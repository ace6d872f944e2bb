import { askCloudJson } from '../cloud/ask-cloud.ts';
import type { AskHttp } from '../cloud/ask-http.ts';
import { refused } from '../cloud/refused.ts';
import type { NodeAttestation } from '../node-attestor.ts';

const API_VERSION = '2018-02-01';
export const AZURE_METADATA_HEADERS: Readonly<Record<string, string>> = { Metadata: 'true' };

/** Where a machine of Azure asks for tokens of its managed identity. `endpoint`: `http://host[:port]`. */
export function machineTokenUrl(endpoint: string, resource: string): string {
  const query = `api-version=${API_VERSION}&resource=${encodeURIComponent(resource)}`;
  return `${endpoint}/metadata/identity/oauth2/token?${query}`;
}

/** The agent's side, on a machine of Azure that has a managed identity. */
export function createAzureMsiAttestation(
  ask: AskHttp,
  options: { readonly endpoint: string; readonly resourceId: string },
): NodeAttestation {
  const url = machineTokenUrl(options.endpoint, options.resourceId);
  return {
    name: 'azure_msi',
    async begin() {
      const answer = await askCloudJson(ask, url, { headers: AZURE_METADATA_HEADERS });
      const token = answer.get('access_token');
      if (typeof token !== 'string' || token === '') {
        throw refused('ERR_NODE_ATTEST_CLOUD', `${options.endpoint} gives no access token`);
      }
      return {
        payload: Buffer.from(JSON.stringify({ token })),
        async answer() {
          const message =
            'who joins by azure_msi is asked nothing more; the server sent a challenge';
          throw refused('ERR_NODE_ATTEST_CHALLENGE', message);
        },
      };
    },
  };
}
