import { createPublicKey, randomUUID } from 'node:crypto';
import {
  type CloudReply,
  type CloudRequest,
  type CloudServer,
  makeCloudTls,
  startCloudServer,
} from './cloud-server.ts';
import { makeTokenKey, type TestTokenKey } from './test-tokens.ts';

/** Members of a JSON object. */
export type Json = Record<string, unknown>;

export const kubeIssuer = 'https://kubernetes.default.svc.cluster.local';

/** A Kubernetes cluster of one agent's pod: its API server, over TLS with RBAC, and its issuer. */
export interface KubeCluster extends AsyncDisposable {
  readonly server: CloudServer;
  readonly tokenKey: TestTokenKey;
  /** PEM. */
  readonly authority: string;
  /** Of the service account that may review tokens and get pods and nodes. */
  readonly adminToken: string;
  readonly pod: { readonly name: string; readonly uid: string };
  readonly node: { readonly name: string; readonly uid: string };
  /** A projected token of the pod, with what is said otherwise. */
  token(claims?: Json, header?: object): string;
  /** What the API server says of each kind of object; a test may put in others. */
  readonly objects: { pod: Json; node: Json; status: Json };
  /** A kubeconfig (YAML) for it. */
  kubeconfig(): string;
  /** What it was asked for by the last TokenReview. */
  lastReview(): Json | undefined;
}

/** Made once; it takes longer than all else. */
let ground:
  | { readonly tls: ReturnType<typeof makeCloudTls>; readonly tokenKey: TestTokenKey }
  | undefined;

/** `seconds`: of the issuer's clock. */
export async function startKubeCluster(seconds: number): Promise<KubeCluster> {
  ground ??= { tls: makeCloudTls(), tokenKey: makeTokenKey('cluster-key-1', 2_048) };
  const { tokenKey } = ground;
  const tls = await ground.tls;
  const adminToken = `admin-${randomUUID()}`;
  const pod = { name: 'trustplane-agent-x7k2p', uid: randomUUID() };
  const node = { name: 'node-1.eu', uid: randomUUID() };
  const account = { name: 'trustplane-agent', uid: randomUUID() };
  const namespace = 'trustplane';
  const subject = `system:serviceaccount:${namespace}:${account.name}`;
  const objects = {
    pod: {
      kind: 'Pod',
      apiVersion: 'v1',
      metadata: { ...pod, namespace, labels: { app: 'agent', tier: 'infra' } },
      spec: { nodeName: node.name, serviceAccountName: account.name, containers: [] },
      status: { phase: 'Running', hostIP: '172.16.10.1' },
    } as Json,
    node: {
      kind: 'Node',
      apiVersion: 'v1',
      metadata: { ...node, labels: { 'topology.kubernetes.io/zone': 'eu-1', secret: 'no' } },
    } as Json,
    status: {
      authenticated: true,
      audiences: ['spire-server'],
      user: {
        username: subject,
        uid: account.uid,
        groups: ['system:serviceaccounts', 'system:authenticated'],
        extra: {
          'authentication.kubernetes.io/pod-name': [pod.name],
          'authentication.kubernetes.io/pod-uid': [pod.uid],
          'authentication.kubernetes.io/node-name': [node.name],
          'authentication.kubernetes.io/node-uid': [node.uid],
        },
      },
    } as Json,
  };
  let review: Json | undefined;
  const answer = ({ method, path, headers, body }: CloudRequest): CloudReply => {
    if (path === '/openid/v1/jwks') return json(200, jwksOf(tokenKey));
    // Without being asked for JSON it may answer in other encodings.
    if (headers.accept !== 'application/json')
      return failure(406, 'only JSON is asked for by those who read it');
    if (headers.authorization === undefined) return failure(401, 'Unauthorized');
    if (headers.authorization !== `Bearer ${adminToken}`)
      return failure(
        403,
        `User "system:serviceaccount:x:y" cannot ${method.toLowerCase()} ${path}`,
      );
    if (method === 'POST' && path === '/apis/authentication.k8s.io/v1/tokenreviews') {
      review = JSON.parse(body);
      return json(201, { ...review, status: objects.status });
    }
    if (path === `/api/v1/namespaces/${namespace}/pods/${pod.name}`) return json(200, objects.pod);
    if (path.startsWith('/api/v1/nodes/')) return json(200, objects.node);
    return failure(404, 'the server could not find the requested resource');
  };
  const server = await startCloudServer(answer, tls);
  const cluster = { server: server.origin, 'certificate-authority-data': base64(tls.authority) };
  return {
    server,
    tokenKey,
    authority: tls.authority,
    adminToken,
    pod,
    node,
    objects,
    lastReview: () => review,
    token: (claims = {}, header = {}) =>
      tokenKey.token(
        {
          aud: ['spire-server'],
          exp: seconds + 600,
          iat: seconds,
          nbf: seconds,
          iss: kubeIssuer,
          jti: randomUUID(),
          sub: subject,
          'kubernetes.io': { namespace, node, pod, serviceaccount: account },
          ...claims,
        },
        header,
      ),
    kubeconfig: () =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'prod',
        contexts: [{ name: 'prod', context: { cluster: 'prod', user: 'server' } }],
        clusters: [{ name: 'prod', cluster }],
        users: [{ name: 'server', user: { token: adminToken } }],
      }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** The JWK set that the issuer publishes. */
export function jwksOf(...keys: readonly TestTokenKey[]): { readonly keys: readonly Json[] } {
  return {
    keys: keys.map(({ authority }) => {
      const { keyId: kid, publicKey } = authority;
      const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
      return { use: 'sig', alg: 'RS256', kid, ...key.export({ format: 'jwk' }) };
    }),
  };
}

function failure(code: number, message: string): CloudReply {
  return json(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, code });
}

function json(status: number, body: object): CloudReply {
  return { status, body: JSON.stringify(body) };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
