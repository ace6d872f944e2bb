import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../../../test/fakes/fake-clock.ts';
import {
  type Json,
  jwksOf,
  type KubeCluster,
  kubeIssuer,
  startKubeCluster,
} from '../../../../test/fakes/kube-cluster.ts';
import { makeTokenKey } from '../../../../test/fakes/test-tokens.ts';
import {
  type DocumentMutation,
  describeMutations,
} from '../../../../test/suites/node-attestor-mutations.ts';
import { silentLog } from '../../../ops/index.ts';
import { type ErrorCode, formatSelector } from '../../../spiffe/index.ts';
import {
  type ClusterVerifier,
  createAskHttp,
  createK8sPsatAttestation,
  createK8sPsatAttestor,
  createKeySource,
  createKubeApi,
  createReviewVerifier,
  createTokenVerifier,
  type PsatCluster,
} from '../../index.ts';

const now = Date.parse('2026-01-15T12:00:00Z');
const seconds = now / 1_000;
const audiences = ['spire-server'];
let cluster: KubeCluster;

beforeAll(async () => {
  cluster = await startKubeCluster(seconds);
});
afterAll(() => cluster[Symbol.asyncDispose]());

function attestorOf(verifier: ClusterVerifier, settings: Partial<PsatCluster> = {}) {
  const own = {
    name: 'prod',
    verifier,
    serviceAccounts: new Set(['trustplane:trustplane-agent']),
    nodeLabelKeys: new Set(['topology.kubernetes.io/zone']),
    podLabelKeys: new Set(['app']),
    usesPodUid: false,
  };
  const staging = { ...own, name: 'staging', verifier: offline('https://staging.example') };
  return createK8sPsatAttestor([{ ...own, ...settings }, staging], silentLog);
}

function online({ server, authority, adminToken }: KubeCluster): ClusterVerifier {
  const access = { server: server.origin, certificateAuthorities: authority, token: adminToken };
  const openAsk = (to: typeof access) => createAskHttp({ ...to, timeoutMs: 500 });
  const api = createKubeApi({ access: async () => access, openAsk: () => openAsk(access) });
  return createReviewVerifier(api, audiences);
}

function offline(issuer = kubeIssuer, jwks = jwksOf(cluster.tokenKey)): ClusterVerifier {
  const clock = new FakeClock(now);
  const fetchKeys = async () => Buffer.from(JSON.stringify(jwks));
  const keys = createKeySource({ fetchKeys, issuer, clock, log: silentLog });
  return createTokenVerifier({ issuer, audiences, keys, clock });
}

const payloadOf = (token: string, name = 'prod') =>
  Buffer.from(JSON.stringify({ cluster: name, token }));
const unasked = () => Promise.reject(new Error('nothing is to be asked'));

interface Document {
  readonly cluster: KubeCluster;
  readonly payload: Buffer;
}
type Mutation = DocumentMutation<Document>;

function sends(what: string, code: ErrorCode, reason: string, payload: () => Buffer): Mutation {
  const mutate = (document: Document) => ({ ...document, payload: payload() });
  return { what, code, reason, mutate };
}

const malformed = 'ERR_NODE_ATTEST_PAYLOAD';
const payloadMutations: readonly Mutation[] = [
  sends('no JSON', malformed, 'cannot be read', () => Buffer.from('x')),
  sends('40 KiB', malformed, 'at most 32768', () => Buffer.alloc(40_960, 32)),
  sends('a list', malformed, 'no JSON object', () => Buffer.from('[]')),
  sends('no cluster', malformed, 'no text in cluster', () => Buffer.from('{"token":"a.b.c"}')),
  sends('no token', malformed, 'no text in token', () => Buffer.from('{"cluster":"prod"}')),
  sends('a cluster with a long name', malformed, 'characters in cluster', () =>
    payloadOf('a.b.c', 'c'.repeat(65)),
  ),
  sends('a token of 20 KiB', malformed, 'characters in token', () =>
    payloadOf(`a.${'b'.repeat(20_480)}.c`),
  ),
  sends('a token of two parts', malformed, 'three parts', () => payloadOf('a.b')),
  sends('two clusters', malformed, 'duplicate member', () =>
    Buffer.from(payloadOf(cluster.token()).toString().replace('{', '{"cluster":"staging",')),
  ),
  sends('a cluster that is not there', 'ERR_NODE_ATTEST_CLUSTER', 'no cluster "other"', () =>
    payloadOf(cluster.token(), 'other'),
  ),
  sends('a cluster by a path', 'ERR_NODE_ATTEST_CLUSTER', 'no cluster "../prod"', () =>
    payloadOf(cluster.token(), '../prod'),
  ),
].map((mutation) =>
  mutation.what === 'a cluster by a path'
    ? { ...mutation, sameReasonAs: 'a cluster that is not there' }
    : mutation,
);

/** A token with something else in it, rightly signed. */
function claims(
  what: string,
  code: ErrorCode,
  reason: string,
  change: Json,
  header?: object,
): Mutation {
  return sends(what, code, reason, () => payloadOf(cluster.token(change, header)));
}

const bound = (change: Json) => ({
  'kubernetes.io': {
    namespace: 'trustplane',
    pod: { name: 'a', uid: 'b' },
    node: { name: 'a', uid: 'b' },
    serviceaccount: { name: 'trustplane-agent', uid: 'x' },
    ...change,
  },
});
const lacking = 'ERR_NODE_ATTEST_CLAIMS';
const untimely = 'ERR_NODE_ATTEST_TIME';
const others = makeTokenKey('cluster-key-1', 2_048);
const subjectOf = (namespace: string, name: string) => `system:serviceaccount:${namespace}:${name}`;

const tokenMutations: readonly Mutation[] = [
  claims('another issuer', 'ERR_NODE_ATTEST_ISSUER', 'issued by', { iss: 'https://evil.test' }),
  sends("a token of another cluster's", 'ERR_NODE_ATTEST_ISSUER', 'issued by', () =>
    payloadOf(cluster.token(), 'staging'),
  ),
  claims('another audience', 'ERR_NODE_ATTEST_AUDIENCE', 'meant for', { aud: ['api'] }),
  claims('an audience that is a text', 'ERR_NODE_ATTEST_AUDIENCE', 'meant for', {
    aud: 'spire-server',
  }),
  claims('no audience', 'ERR_NODE_ATTEST_AUDIENCE', 'got nothing', { aud: undefined }),
  claims('a time that is over', untimely, 'expired at', { exp: seconds - 31 }),
  claims('a time to come', untimely, 'of the future', { nbf: seconds + 31 }),
  claims('a life of a year', untimely, 'at most', { exp: seconds + 31_536_000 }),
  claims('no end', untimely, 'exp is a number', { exp: undefined }),
  claims('no begin', untimely, 'iat is a number', { iat: undefined }),
  claims('an end that is a text', untimely, 'exp is a number', { exp: '9999999999' }),
  claims('no binding', lacking, 'kubernetes.io is not there', { 'kubernetes.io': undefined }),
  claims('no pod', lacking, 'bound to no pod', bound({ pod: undefined })),
  claims('no node', lacking, 'no node stands in it', bound({ node: undefined })),
  claims(
    'no service account',
    lacking,
    'bound to no serviceaccount',
    bound({ serviceaccount: 'a' }),
  ),
  claims(
    'a node that leaves its segment',
    lacking,
    'uid',
    bound({ node: { name: 'a', uid: '../x' } }),
  ),
  claims(
    'a pod with a name that is none',
    lacking,
    'name',
    bound({ pod: { name: 'a/b', uid: 'x' } }),
  ),
  claims('a namespace that is none', lacking, 'namespace', bound({ namespace: 'a:b' })),
  claims('a subject that is another', lacking, 'sub is to be', {
    sub: subjectOf('kube-system', 'root'),
  }),
  claims('another service account', 'ERR_NODE_ATTEST_SERVICE_ACCOUNT', 'trustplane:default', {
    ...bound({ serviceaccount: { name: 'default' } }),
    sub: subjectOf('trustplane', 'default'),
  }),
  claims('no signature', 'ERR_NODE_ATTEST_ALGORITHM', 'alg is one of', {}, { alg: 'none' }),
  claims(
    'a signature with a shared secret',
    'ERR_NODE_ATTEST_ALGORITHM',
    'alg is one of',
    {},
    {
      alg: 'HS256',
    },
  ),
  claims(
    'another algorithm than the key has',
    'ERR_NODE_ATTEST_SIGNATURE',
    'did not sign',
    {},
    {
      alg: 'ES256',
    },
  ),
  claims('a key that is not there', 'ERR_NODE_ATTEST_KEY', 'has no key', {}, { kid: 'other' }),
  claims('no key ID', 'ERR_NODE_ATTEST_KEY', 'kid is a text', {}, { kid: undefined }),
  claims(
    'a key of its own',
    'ERR_NODE_ATTEST_HEADER',
    'may not have jwk',
    {},
    {
      jwk: jwksOf(others).keys[0],
    },
  ),
  claims(
    'a place of keys of its own',
    'ERR_NODE_ATTEST_HEADER',
    'may not have jku',
    {},
    {
      jku: 'https://evil.test',
    },
  ),
  sends('a signature of others', 'ERR_NODE_ATTEST_SIGNATURE', 'did not sign', () =>
    payloadOf(others.token({ ...claimsOf(cluster.token()) })),
  ),
  sends('claims that were changed', 'ERR_NODE_ATTEST_SIGNATURE', 'did not sign', () => {
    const [head, , signature] = cluster.token().split('.');
    const changed = JSON.stringify({ ...claimsOf(cluster.token()), jti: 'x' });
    return payloadOf(`${head}.${Buffer.from(changed).toString('base64url')}.${signature}`);
  }),
  sends('a claim twice', 'ERR_NODE_ATTEST_TOKEN', 'duplicate member', () => {
    const text = JSON.stringify(claimsOf(cluster.token())).replace('{', '{"sub":"x",');
    return payloadOf(cluster.tokenKey.token(text));
  }),
  sends('claims that are no object', 'ERR_NODE_ATTEST_TOKEN', 'no JSON object', () =>
    payloadOf(cluster.tokenKey.token('[]')),
  ),
];

/** Those of a kind are told apart by what is quoted. */
const alike: Readonly<Record<string, string>> = {
  'a signature with a shared secret': 'no signature',
  'claims that were changed': 'a signature of others',
};

function claimsOf(token: string): Json {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

describeMutations<Document>(
  'k8s_psat, by the keys of the issuer',
  async () => ({
    document: { cluster, payload: payloadOf(cluster.token()) },
    attest: ({ payload }) => attestorOf(offline()).attest(payload, unasked),
  }),
  [...payloadMutations, ...tokenMutations].map((mutation) => {
    const sameReasonAs = alike[mutation.what];
    return sameReasonAs === undefined ? mutation : { ...mutation, sameReasonAs };
  }),
);

type Change = (cluster: KubeCluster) => void;

/** What the API server says, otherwise. */
function told(what: string, code: ErrorCode, reason: string, change: Change): Mutation {
  const mutate = (document: Document) => {
    change(document.cluster);
    return document;
  };
  return { what, code, reason, mutate };
}

const unreviewed = 'ERR_NODE_ATTEST_REVIEW';
const otherPod = 'ERR_NODE_ATTEST_POD';
const silent = 'ERR_NODE_ATTEST_API';
const merged = (object: Json, name: string, change: Json): void => {
  object[name] = { ...Object(object[name]), ...change };
};
const extra =
  (change: Json): Change =>
  ({ objects }) => {
    const user = Object(objects.status['user']);
    const more = Object.fromEntries(
      Object.entries(change).map(([name, value]) => [
        `authentication.kubernetes.io/${name}`,
        value,
      ]),
    );
    objects.status['user'] = { ...user, extra: { ...user.extra, ...more } };
  };
const status =
  (change: Json): Change =>
  ({ objects }) =>
    void Object.assign(objects.status, change);
const fault =
  (what: Parameters<KubeCluster['server']['break']>[0], path?: string): Change =>
  ({ server }) =>
    server.break(what, path);

const toldMutations: readonly Mutation[] = [
  told(
    'a token that is not authenticated',
    unreviewed,
    'not authenticated',
    status({ authenticated: false }),
  ),
  told(
    'an authentication that is a text',
    unreviewed,
    'not authenticated',
    status({ authenticated: 'true' }),
  ),
  told('an error beside it', unreviewed, 'it says', status({ error: 'expired' })),
  told('no audience', 'ERR_NODE_ATTEST_AUDIENCE', 'says nothing', status({ audiences: undefined })),
  told(
    'another audience',
    'ERR_NODE_ATTEST_AUDIENCE',
    'an array of',
    status({ audiences: ['api'] }),
  ),
  told('no user', unreviewed, 'names no user', status({ user: undefined })),
  told(
    'a user that is a person',
    unreviewed,
    'no service account',
    status({ user: { username: 'admin' } }),
  ),
  told('no pod', unreviewed, 'bound to no pod', extra({ 'pod-uid': undefined })),
  told('two pods', unreviewed, 'its pod-name is not one name', extra({ 'pod-name': ['a', 'b'] })),
  told(
    'a UID that leaves its segment',
    unreviewed,
    'its pod-uid is not one',
    extra({ 'pod-uid': ['../x'] }),
  ),
  told('a pod that is gone', otherPod, 'there is no pod', extra({ 'pod-name': ['gone'] })),
  told(
    'another service account',
    'ERR_NODE_ATTEST_SERVICE_ACCOUNT',
    'other:agent',
    status({
      user: {
        username: subjectOf('other', 'agent'),
        extra: {
          'authentication.kubernetes.io/pod-name': ['a'],
          'authentication.kubernetes.io/pod-uid': ['b'],
        },
      },
    }),
  ),
  told('a pod of the same name', otherPod, 'another one since', ({ objects: { pod } }) =>
    merged(pod, 'metadata', { uid: 'x' }),
  ),
  told('a pod of another account', otherPod, 'another service account', ({ objects: { pod } }) =>
    merged(pod, 'spec', { serviceAccountName: 'default' }),
  ),
  told('a pod that has ended', otherPod, 'has ended', ({ objects: { pod } }) =>
    merged(pod, 'status', { phase: 'Succeeded' }),
  ),
  told('a pod on no node', otherPod, 'on no node yet', ({ objects: { pod } }) =>
    merged(pod, 'spec', { nodeName: undefined }),
  ),
  told('a pod on another node', otherPod, 'another node than', ({ objects: { pod } }) =>
    merged(pod, 'spec', { nodeName: 'node-2' }),
  ),
  told(
    'a pod that was not asked for',
    otherPod,
    'another pod than was asked',
    ({ objects: { pod } }) => merged(pod, 'metadata', { namespace: 'other' }),
  ),
  told(
    'a node that was not asked for',
    otherPod,
    'another node than was asked',
    ({ objects: { node } }) => merged(node, 'metadata', { name: 'node-2' }),
  ),
  told('a node that is another now', otherPod, 'is another one since', ({ objects: { node } }) =>
    merged(node, 'metadata', { uid: 'x' }),
  ),
  told('a node without UID', otherPod, 'has no UID', ({ objects: { node } }) =>
    merged(node, 'metadata', { uid: '' }),
  ),
  told('a pod without metadata', silent, 'without metadata', ({ objects: { pod } }) => {
    pod['metadata'] = [];
  }),
  told('another kind of object', silent, 'something else than a Node', ({ objects: { node } }) => {
    node['kind'] = 'Pod';
  }),
  told('an API server that is silent', silent, 'no answer within', fault('hang')),
  told('an API server that talks nonsense', silent, 'malformed JSON', fault('garbage')),
  told('100 MB', silent, 'over 2097152 bytes', fault('flood', '/pods/')),
  told('a redirect', silent, 'status 302', fault('redirect')),
  told('a failure of the API server', silent, 'status 500', fault(500, '/nodes/')),
  told('a connection that is cut', silent, 'socket hang up', fault('reset')),
  told('RBAC that lacks nodes', silent, 'see to its RBAC', fault(403, '/nodes/')),
];
const toldAlike: Readonly<Record<string, string>> = {
  'an authentication that is a text': 'a token that is not authenticated',
};

describeMutations<Document>(
  'k8s_psat, by token review',
  async () => {
    const own = await startKubeCluster(seconds);
    onTestFinished(() => own[Symbol.asyncDispose]());
    return {
      document: { cluster: own, payload: payloadOf(own.token()) },
      attest: ({ payload }) => attestorOf(online(own)).attest(payload, unasked),
    };
  },
  [...payloadMutations, ...toldMutations].map((mutation) => {
    const sameReasonAs = toldAlike[mutation.what];
    return sameReasonAs === undefined ? mutation : { ...mutation, sameReasonAs };
  }),
);

describe('an agent in a pod', () => {
  const facts = () => [
    `k8s_psat:agent_node_name:${cluster.node.name}`,
    `k8s_psat:agent_node_uid:${cluster.node.uid}`,
    'k8s_psat:agent_ns:trustplane',
    `k8s_psat:agent_pod_name:${cluster.pod.name}`,
    `k8s_psat:agent_pod_uid:${cluster.pod.uid}`,
    'k8s_psat:agent_sa:trustplane-agent',
    'k8s_psat:cluster:prod',
  ];
  const attest = async (verifier: ClusterVerifier, settings: Partial<PsatCluster> = {}) => {
    const loadToken = async () => cluster.token();
    const { payload } = await createK8sPsatAttestation({ cluster: 'prod', loadToken }).begin();
    return await attestorOf(verifier, settings).attest(payload, unasked);
  };

  it('joins with the ID and the selectors that SPIRE gives, as the API server tells', async () => {
    const { selectors, ...attested } = await attest(online(cluster));
    const agentPath = `/spire/agent/k8s_psat/prod/${cluster.node.uid}`;
    expect(attested).toEqual({ agentPath, canReattest: true });
    expect(selectors.map(formatSelector)).toEqual(
      [
        ...facts(),
        'k8s_psat:agent_node_ip:172.16.10.1',
        'k8s_psat:agent_node_label:topology.kubernetes.io/zone:eu-1',
        'k8s_psat:agent_pod_label:app:agent',
      ].sort(),
    );
    expect(cluster.lastReview()).toMatchObject({ spec: { audiences } });
  });

  it('joins by what its token says, where nobody is asked', async () => {
    const before = cluster.server.calls.length;
    const { selectors, agentPath } = await attest(offline());
    expect(agentPath).toBe(`/spire/agent/k8s_psat/prod/${cluster.node.uid}`);
    expect(selectors.map(formatSelector)).toEqual(facts().sort());
    expect(cluster.server.calls).toHaveLength(before);
  });

  it('may be known by its pod', async () => {
    const { agentPath } = await attest(offline(), { usesPodUid: true });
    expect(agentPath).toBe(`/spire/agent/k8s_psat/prod/pod/${cluster.pod.uid}`);
  });

  it('reads no more of an endless answer than it may', async () => {
    await using own = await startKubeCluster(seconds);
    own.server.break('flood');
    const attempt = attestorOf(online(own)).attest(payloadOf(own.token()), unasked);
    await expect(attempt).rejects.toMatchObject({ code: silent });
    expect(own.server.flooded()).toBeLessThan(50 * 1024 * 1024);
  });

  it('is judged by a key that came later, and by none that is gone', async () => {
    const clock = new FakeClock(now);
    const next = makeTokenKey('cluster-key-2', 2_048);
    let published = jwksOf(cluster.tokenKey);
    const fetchKeys = async () => Buffer.from(JSON.stringify(published));
    const keys = createKeySource({ fetchKeys, issuer: kubeIssuer, clock, log: silentLog });
    const verifier = createTokenVerifier({ issuer: kubeIssuer, audiences, keys, clock });
    const identify = (token: string) => verifier.identify(token);
    await expect(identify(cluster.token())).resolves.toBeDefined();
    published = jwksOf(next);
    clock.advance(31_000);
    const token = next.token(claimsOf(cluster.token()));
    await expect(identify(token)).resolves.toBeDefined();
    await expect(identify(cluster.token())).rejects.toMatchObject({ code: 'ERR_NODE_ATTEST_KEY' });
  });

  it('is asked nothing more', async () => {
    const loadToken = async () => 'a.b.c';
    const { answer } = await createK8sPsatAttestation({ cluster: 'prod', loadToken }).begin();
    await expect(answer(new Uint8Array())).rejects.toMatchObject({
      code: 'ERR_NODE_ATTEST_CHALLENGE',
    });
  });
});
