import { dirname, isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { checkDocument, parseStrictYaml, readFileBounded } from '../../../ops/index.ts';
import { messageOf, TrustplaneError } from '../../../spiffe/index.ts';

/** How an API server is reached. */
export interface KubeAccess {
  /** `https://…`, without a path. */
  readonly server: string;
  /** PEM. */
  readonly certificateAuthorities: string;
  readonly serverName?: string | undefined;
  /** PEM. */
  readonly client?: { readonly cert: string; readonly key: string } | undefined;
  readonly token?: string | undefined;
}

const MAX_FILE_BYTES = 1 << 20;
const MAX_TOKEN_BYTES = 16_384;
const ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

const base64 = z.base64().max(65_536);
const schema = z.object({
  'current-context': z.string(),
  contexts: z.array(
    z.object({ name: z.string(), context: z.object({ cluster: z.string(), user: z.string() }) }),
  ),
  clusters: z.array(
    z.object({
      name: z.string(),
      cluster: z.object({
        server: z.string(),
        'certificate-authority': z.string().optional(),
        'certificate-authority-data': base64.optional(),
        'insecure-skip-tls-verify': z.literal(false).optional(),
        'tls-server-name': z.string().optional(),
        'proxy-url': z.never().optional(),
      }),
    }),
  ),
  users: z.array(
    z.object({
      name: z.string(),
      user: z.object({
        token: z.string().optional(),
        tokenFile: z.string().optional(),
        'client-certificate': z.string().optional(),
        'client-certificate-data': base64.optional(),
        'client-key': z.string().optional(),
        'client-key-data': base64.optional(),
        exec: z.never().optional(),
        'auth-provider': z.never().optional(),
        username: z.never().optional(),
        password: z.never().optional(),
      }),
    }),
  ),
});

/** As a pod reaches the API server of its own cluster. @throws TrustplaneError ERR_NODE_ATTEST_KUBECONFIG, ERR_FILE_* */
export async function loadInClusterAccess(
  env: Readonly<Record<string, string | undefined>>,
  folder: string = ACCOUNT_FOLDER,
): Promise<KubeAccess> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  if (host === undefined || port === undefined) {
    throw unusable(
      'the environment says nothing of an API server (KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT): outside of a cluster set kubeConfigFile',
    );
  }
  return {
    server: originOf(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    certificateAuthorities: await load(join(folder, 'ca.crt'), MAX_FILE_BYTES),
    token: (await load(join(folder, 'token'), MAX_TOKEN_BYTES)).trim(),
  };
}

/**
 * As the current context of a kubeconfig file says: a bearer token or a client certificate, TLS verified.
 * Plug-ins (`exec`), passwords, proxies and `insecure-skip-tls-verify` are refused.
 * @throws TrustplaneError ERR_NODE_ATTEST_KUBECONFIG, ERR_FILE_*
 */
export async function loadKubeconfig(file: string): Promise<KubeAccess> {
  const text = await load(file, MAX_FILE_BYTES);
  const { cluster, user } = currentContext(file, text);
  const from = (name: string) => (isAbsolute(name) ? name : join(dirname(file), name));
  const either = async (data: string | undefined, name: string | undefined) => {
    if (data !== undefined) return Buffer.from(data, 'base64').toString('latin1');
    return name === undefined ? undefined : await load(from(name), MAX_FILE_BYTES);
  };
  const authorities = await either(
    cluster['certificate-authority-data'],
    cluster['certificate-authority'],
  );
  if (authorities === undefined)
    throw unusable(`${file}: the cluster has no certificate-authority`);
  const cert = await either(user['client-certificate-data'], user['client-certificate']);
  const key = await either(user['client-key-data'], user['client-key']);
  const { token, tokenFile } = user;
  const bearer =
    tokenFile === undefined ? token : (await load(from(tokenFile), MAX_TOKEN_BYTES)).trim();
  if (bearer === undefined && (cert === undefined || key === undefined))
    throw unusable(`${file}: the user has neither a token nor a client certificate with its key`);
  return {
    server: originOf(cluster.server),
    certificateAuthorities: authorities,
    serverName: cluster['tls-server-name'],
    client: cert === undefined || key === undefined ? undefined : { cert, key },
    token: bearer,
  };
}

function currentContext(file: string, text: string) {
  const config = parseKubeconfig(file, text);
  const name = config['current-context'];
  const context = config.contexts.find((each) => each.name === name)?.context;
  const cluster = config.clusters.find((each) => each.name === context?.cluster)?.cluster;
  const user = config.users.find((each) => each.name === context?.user)?.user;
  if (cluster !== undefined && user !== undefined) return { cluster, user };
  throw unusable(`${file}: the current context ${JSON.stringify(name)} is not there whole`);
}

function parseKubeconfig(file: string, text: string): z.output<typeof schema> {
  try {
    return checkDocument(parseStrictYaml(text, file), schema);
  } catch (error) {
    throw unusable(messageOf(error), error);
  }
}

function originOf(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url?.protocol === 'https:' && url.pathname === '/' && url.search === '') return url.origin;
  throw unusable(`expected an API server at https://host:port, got ${JSON.stringify(server)}`);
}

async function load(path: string, maxBytes: number): Promise<string> {
  const bytes = await readFileBounded(path, maxBytes);
  if (bytes !== undefined && bytes.length > 0) return Buffer.from(bytes).toString('utf8');
  throw unusable(`the file ${path} does not exist, or is empty`);
}

function unusable(why: string, cause?: unknown): TrustplaneError {
  const message = `the API server of a cluster cannot be reached: ${why}`;
  return new TrustplaneError('ERR_NODE_ATTEST_KUBECONFIG', message, { cause });
}
