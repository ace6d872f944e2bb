import { askCloud, askCloudJson } from '../cloud/ask-cloud.ts';
import type { AskHttp } from '../cloud/ask-http.ts';
import { refused } from '../cloud/refused.ts';
import { shown } from '../cloud/signed-token.ts';

/**
 * Fetches the JWK set of an issuer as OpenID Connect Discovery 1.0 §4 says; both documents over TLS.
 * @throws TrustplaneError ERR_NODE_ATTEST_CLOUD
 */
export async function fetchIssuerKeys(ask: AskHttp, issuer: string): Promise<Uint8Array> {
  const place = `${issuer.replace(/\/$/u, '')}/.well-known/openid-configuration`;
  const document = await askCloudJson(ask, place);
  const said = document.get('issuer');
  if (said !== issuer) throw unfit(place, `it is of the issuer ${shown(said)}`);
  const url = document.get('jwks_uri');
  if (typeof url !== 'string' || !url.startsWith('https://') || !URL.canParse(url))
    throw unfit(place, `its jwks_uri is no https URL: ${shown(url)}`);
  return await askCloud(ask, url);
}

function unfit(place: string, why: string): Error {
  return refused('ERR_NODE_ATTEST_CLOUD', `${place}: ${why}`);
}
