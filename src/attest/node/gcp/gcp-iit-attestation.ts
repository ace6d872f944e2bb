import { askCloud } from '../cloud/ask-cloud.ts';
import type { AskHttp } from '../cloud/ask-http.ts';
import { refused } from '../cloud/refused.ts';
import type { NodeAttestation } from '../node-attestor.ts';

/** SPIRE's audience of identity tokens of nodes. */
export const GCP_AUDIENCE = 'spire-gcp-node-attestor';
export const METADATA_HEADERS: Readonly<Record<string, string>> = { 'Metadata-Flavor': 'Google' };
const MAX_TOKEN_BYTES = 16_384;

/** The agent's side, on an instance of Compute Engine. `endpoint`: `http://host[:port]`. */
export function createGcpIitAttestation(
  ask: AskHttp,
  options: { readonly endpoint: string; readonly serviceAccount: string },
): NodeAttestation {
  const account = encodeURIComponent(options.serviceAccount);
  const folder = `${options.endpoint}/computeMetadata/v1/instance/service-accounts/${account}`;
  const url = `${folder}/identity?audience=${GCP_AUDIENCE}&format=full`;
  return {
    name: 'gcp_iit',
    async begin() {
      const question = { headers: METADATA_HEADERS, maxBytes: MAX_TOKEN_BYTES };
      const token = (await askCloud(ask, url, question)).toString('latin1').trim();
      return {
        payload: Buffer.from(token, 'latin1'),
        async answer() {
          const message = 'who joins by gcp_iit is asked nothing more; the server sent a challenge';
          throw refused('ERR_NODE_ATTEST_CHALLENGE', message);
        },
      };
    },
  };
}
