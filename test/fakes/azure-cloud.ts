import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type CloudReply, type CloudServer, startCloudServer } from './cloud-server.ts';
import { jwkOf } from './gcp-cloud.ts';
import { makeToken } from './signed-token.ts';

export interface AzureCloud extends AsyncDisposable {
  /** Of the machine's own link. */
  readonly metadata: CloudServer;
  /** Entra ID and Azure Resource Manager. */
  readonly api: CloudServer;
  readonly key: KeyObject;
  /** Of the tenant, by ID; a test may change them. */
  readonly keys: Map<string, KeyObject>;
  /** What a good token says. */
  claims(): Record<string, unknown>;
  /** What the OpenID configuration of the tenant says; a test may change it. */
  readonly configuration: Record<string, unknown>;
  /** Resources by their ID; a test may change them. */
  readonly resources: Map<string, object>;
  /** IDs of the virtual machines that have the principal. */
  readonly machines: string[];
  /** Where the next page of machines is said to be, after an empty one; undefined: there is one page. */
  nextPage: string | undefined;
}

export const TENANT = '11111111-1111-4111-8111-111111111111';
export const SUBSCRIPTION = '22222222-2222-4222-8222-222222222222';
export const PRINCIPAL = '33333333-3333-4333-8333-333333333333';
export const APPLICATION = '44444444-4444-4444-8444-444444444444';
export const APP_SECRET = 'the secret of the application';
const ARM_TOKEN = 'arm-token';

/** A tenant of Azure with one virtual machine. */
export async function startAzureCloud(
  tls: { readonly cert: string; readonly key: string },
  now: () => number,
): Promise<AzureCloud> {
  const { privateKey: key } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const keys = new Map([['tenant-1', key]]);
  const claims = (): Record<string, unknown> => claimsAt(Math.floor(now() / 1000) - 1);
  const group = `/subscriptions/${SUBSCRIPTION}/resourceGroups/Prod/providers`;
  const machine = `${group}/Microsoft.Compute/virtualMachines/web-1`;
  const machines = [machine];
  const resources = resourcesOf(group, machine);
  const metadata = await startCloudServer(({ path, headers }) => {
    const url = new URL(path, 'http://metadata');
    const isAsked =
      headers['metadata'] === 'true' && url.searchParams.get('api-version') === '2018-02-01';
    if (!isAsked || url.pathname !== '/metadata/identity/oauth2/token') return { status: 400 };
    const resource = url.searchParams.get('resource') ?? '';
    const token = resource.startsWith('https://localhost')
      ? ARM_TOKEN
      : makeToken(key, 'tenant-1', { ...claims(), aud: resource });
    return json(200, { access_token: token, expires_in: '86400', resource, token_type: 'Bearer' });
  });
  const configuration: Record<string, unknown> = {};
  const state: { nextPage: string | undefined } = { nextPage: undefined };
  const api = await startCloudServer((request) => {
    const url = new URL(request.path, 'http://arm');
    const base = `/${TENANT}`;
    if (url.pathname === `${base}/v2.0/.well-known/openid-configuration`)
      return json(200, configuration);
    if (url.pathname === `${base}/discovery/v2.0/keys`)
      return json(200, { keys: [...keys].map(jwkOf) });
    if (url.pathname === `${base}/oauth2/v2.0/token`) {
      const form = new URLSearchParams(request.body);
      const isKnown =
        form.get('client_id') === APPLICATION && form.get('client_secret') === APP_SECRET;
      return isKnown ? json(200, { access_token: ARM_TOKEN, expires_in: 3599 }) : json(401, {});
    }
    if (request.headers.authorization !== `Bearer ${ARM_TOKEN}`) return json(401, {});
    if (url.pathname === `/subscriptions/${SUBSCRIPTION}/resources`) {
      const isAsked = url.searchParams
        .get('$filter')
        ?.includes(`identity/principalId eq '${PRINCIPAL}'`);
      if (state.nextPage !== undefined && !url.searchParams.has('$skiptoken')) {
        return json(200, { value: [], nextLink: state.nextPage });
      }
      return json(200, { value: isAsked === true ? machines.map((id) => ({ id })) : [] });
    }
    const found = resources.get(url.pathname);
    return found === undefined ? json(404, {}) : json(200, found);
  }, tls);
  configuration['issuer'] = `${api.origin}/${TENANT}/v2.0`;
  configuration['jwks_uri'] = `${api.origin}/${TENANT}/discovery/v2.0/keys`;
  return Object.assign(state, {
    metadata,
    api,
    key,
    keys,
    claims,
    configuration,
    resources,
    machines,
    async [Symbol.asyncDispose]() {
      await metadata[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
    },
  });
}

function claimsAt(issuedAt: number): Record<string, unknown> {
  return {
    aud: 'https://management.azure.com/',
    iss: `https://sts.windows.net/${TENANT}/`,
    iat: issuedAt,
    nbf: issuedAt,
    exp: issuedAt + 86_400,
    appid: '55555555-5555-4555-8555-555555555555',
    idtyp: 'app',
    oid: PRINCIPAL,
    sub: PRINCIPAL,
    tid: TENANT,
    xms_mirid: `/subscriptions/${SUBSCRIPTION}/resourcegroups/Prod/providers/Microsoft.Compute/virtualMachines/web-1`,
    ver: '1.0',
  };
}

function resourcesOf(group: string, machine: string): Map<string, object> {
  const link = `${group}/Microsoft.Network/networkInterfaces/web-1-nic`;
  const securityGroup = `${group}/Microsoft.Network/networkSecurityGroups/web-nsg`;
  const subnet = `${group}/Microsoft.Network/virtualNetworks/net/subnets/front`;
  return new Map([
    [
      machine,
      { id: machine, properties: { networkProfile: { networkInterfaces: [{ id: link }] } } },
    ],
    [
      link,
      {
        properties: {
          networkSecurityGroup: { id: securityGroup },
          ipConfigurations: [{ properties: { subnet: { id: subnet } } }, { properties: {} }],
        },
      },
    ],
  ]);
}

function json(status: number, body: object): CloudReply {
  return { status, body: JSON.stringify(body) };
}
