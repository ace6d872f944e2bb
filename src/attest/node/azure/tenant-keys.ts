import { askCloud, askCloudJson } from '../cloud/ask-cloud.ts';
import type { AskHttp } from '../cloud/ask-http.ts';
import { refused } from '../cloud/refused.ts';
import { shown } from '../cloud/signed-token.ts';

/**
 * Fetches the JWK set of a tenant by its OpenID configuration, whose issuer has to be the tenant and
 * whose keys have to be at the same authority. `authority`: `https://host[:port]`.
 * @throws TrustplaneError ERR_NODE_ATTEST_CLOUD
 */
export async function fetchTenantKeys(
  ask: AskHttp,
  authority: string,
  tenantId: string,
): Promise<Uint8Array> {
  const base = `${authority}/${tenantId}/v2.0`;
  const document = await askCloudJson(ask, `${base}/.well-known/openid-configuration`);
  const issuer = document.get('issuer');
  if (issuer !== base) throw otherwise(base, 'issuer', base, shown(issuer));
  const url = document.get('jwks_uri');
  if (typeof url !== 'string' || !url.startsWith(`${authority}/`)) {
    throw otherwise(base, 'jwks_uri', `a URL at ${authority}`, shown(url));
  }
  return await askCloud(ask, url);
}

function otherwise(base: string, name: string, expected: string, got: string): Error {
  const message = `the OpenID configuration of ${base}: ${name} is ${expected}; got ${got}`;
  return refused('ERR_NODE_ATTEST_CLOUD', message);
}
