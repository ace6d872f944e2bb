import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import {
  type CloudReply,
  type CloudRequest,
  type CloudServer,
  startCloudServer,
} from './cloud-server.ts';
import { makeToken } from './signed-token.ts';

export interface GcpCloud extends AsyncDisposable {
  /** Of the machine's own link. */
  readonly metadata: CloudServer;
  /** Google's keys, the Compute Engine API, and where service accounts get tokens. */
  readonly api: CloudServer;
  readonly key: KeyObject;
  /** Of Google, by ID; a test may change them. */
  readonly keys: Map<string, KeyObject>;
  /** What a good token says; with another instance where `engine` says so. */
  claims(engine?: object): Record<string, unknown>;
  /** What the Compute Engine API says of the instance; undefined: there is none. */
  resource: object | undefined;
  /** The key of a service account, as a file. */
  readonly serviceAccountFile: string;
}

const MACHINE_TOKEN = 'ya29.machine';
const ACCOUNT_TOKEN = 'ya29.account';

/** A project of Google Cloud with one instance; `now`: a second ago, tokens were issued. */
export async function startGcpCloud(
  tls: { readonly cert: string; readonly key: string },
  now: () => number,
): Promise<GcpCloud> {
  const { privateKey: key } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const account = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const keys = new Map([['google-1', key]]);
  const claims = (engine = {}): Record<string, unknown> =>
    claimsAt(Math.floor(now() / 1000) - 1, engine);
  const metadata = await startCloudServer(({ path, headers }) => {
    if (headers['metadata-flavor'] !== 'Google') return { status: 403 };
    const url = new URL(path, 'http://metadata');
    const folder = '/computeMetadata/v1/instance/service-accounts/default';
    if (url.pathname === `${folder}/token`) return json(200, grant(MACHINE_TOKEN));
    if (url.pathname !== `${folder}/identity`) return { status: 404 };
    const isFull = url.searchParams.get('format') === 'full';
    const said = { ...claims(), aud: url.searchParams.get('audience') };
    return {
      status: 200,
      body: makeToken(key, 'google-1', isFull ? said : { ...said, google: undefined }),
    };
  });
  const state = { resource: resourceOf() as object | undefined };
  const api = await startCloudServer((request) => {
    if (request.path === '/oauth2/v3/certs') return json(200, { keys: [...keys].map(jwkOf) });
    if (request.path === '/token') return exchange(request, account.publicKey);
    const tokens = [MACHINE_TOKEN, ACCOUNT_TOKEN].map((token) => `Bearer ${token}`);
    if (!tokens.includes(request.headers.authorization ?? '')) return json(401, {});
    const path = '/compute/v1/projects/prod-1234/zones/europe-west3-a/instances/web-1';
    const isThere = request.path === path && state.resource !== undefined;
    return isThere ? json(200, state.resource ?? {}) : json(404, { error: { code: 404 } });
  }, tls);
  return Object.assign(state, {
    metadata,
    api,
    key,
    keys,
    claims,
    serviceAccountFile: JSON.stringify({
      type: 'service_account',
      client_email: 'server@prod-1234.iam.gserviceaccount.com',
      private_key_id: 'account-1',
      private_key: account.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      token_uri: `${api.origin}/token`,
    }),
    async [Symbol.asyncDispose]() {
      await metadata[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
    },
  });
}

function claimsAt(issuedAt: number, engine: object): Record<string, unknown> {
  return {
    iss: 'https://accounts.google.com',
    aud: 'spire-gcp-node-attestor',
    azp: '113000000000000000000',
    sub: '113000000000000000000',
    email: '1234-compute@developer.gserviceaccount.com',
    email_verified: true,
    iat: issuedAt,
    exp: issuedAt + 3600,
    google: {
      compute_engine: {
        instance_creation_timestamp: 1_700_000_000,
        instance_id: '8087716956832600000',
        instance_name: 'web-1',
        project_id: 'prod-1234',
        project_number: 1234,
        zone: 'europe-west3-a',
        ...engine,
      },
    },
  };
}

function resourceOf(): object {
  return {
    kind: 'compute#instance',
    id: '8087716956832600000',
    name: 'web-1',
    tags: { items: ['http', 'blue'], fingerprint: 'x' },
    labels: { env: 'prod', secret: 'no' },
    metadata: {
      items: [{ key: 'role', value: 'web' }, { key: 'startup', value: 'no' }, { key: 'flag' }],
    },
  };
}

/** The JWK of a key of Google's, or of anybody. */
export function jwkOf([kid, key]: readonly [string, KeyObject]): object {
  return { ...createPublicKey(key).export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' };
}

function exchange({ body }: CloudRequest, key: KeyObject): CloudReply {
  const [head = '', claims = '', signature = ''] = (
    new URLSearchParams(body).get('assertion') ?? ''
  ).split('.');
  const input = Buffer.from(`${head}.${claims}`);
  const isSigned = verify('sha256', input, key, Buffer.from(signature, 'base64url'));
  return isSigned ? json(200, grant(ACCOUNT_TOKEN)) : json(400, { error: 'invalid_grant' });
}

const grant = (token: string): object => ({
  access_token: token,
  expires_in: 3599,
  token_type: 'Bearer',
});

function json(status: number, body: object): CloudReply {
  return { status, body: JSON.stringify(body) };
}
