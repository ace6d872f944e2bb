import type { BootstrapFlags } from '../../src/envoy/index.ts';

type Part = Partial<BootstrapFlags>;

const server = 'spiffe://example.org/server';
const callers: Part = { callerId: ['spiffe://example.org/a', 'spiffe://other.example/b'] };
const remote = '10.0.0.1:9192';
const authzId = 'spiffe://example.org/authz';
const roles = ['server', 'client', 'both'] as const;
const layers: readonly Part[] = [{}, { tcp: true }];
const streams: readonly Part[] = [{}, { sotw: true }, { ads: true }, { ads: true, sotw: true }];
const ways: readonly Part[] = [
  {},
  callers,
  { authz: 'none', ...callers },
  { authz: 'rbac' },
  { authzSocket: '/run/trustplane/authz.sock' },
  { authz: 'check', authzSocket: '/run/trustplane/authz.sock' },
  { authz: 'check', authzSocket: '127.0.0.1:9192' },
  { authz: 'rbac+check', authzSocket: remote, authzId, ...callers },
  { authz: 'check', authzSocket: 'authz.example:9192', authzId },
];
const policyNames: readonly Part[] = [{}, { policyName: 'tenant "api" #1' }];
/** Options whose values stand for themselves: each comes again and again with what else there is. */
const values: readonly (readonly Part[])[] = [
  [{}, { trust: 'ROOTCA' }, { trust: 'ALL' }, { trust: 'other.example' }],
  [
    {},
    { admin: 'none' },
    { admin: '[::1]:9901' },
    { admin: '/run/envoy/admin.sock' },
    { nodeId: 'a "b"' },
  ],
  [
    {},
    { maxConnectionDuration: '1s' },
    { maxConnectionDuration: '1500ms' },
    { maxConnectionDuration: '24h' },
  ],
];
const inboundValues: readonly (readonly Part[])[] = [
  [{}, { accessLog: 'none' }, { accessLog: '/dev/null' }],
  [{}, { listen: '[::]:8443' }, { listen: '/run/envoy/in.sock' }],
  [{}, { upstream: 'app.example:80' }, { upstream: '/run/app.sock' }, { upstream: '[::1]:80' }],
];
const outboundValues: readonly (readonly Part[])[] = [
  [{}, { egress: '/run/envoy/out.sock' }, { egress: '[::1]:8081' }],
  [{ peer: '10.0.0.1:443' }, { peer: 'server.example:443' }, { peer: '/run/server.sock' }],
  [{ peerId: [server] }, { peerId: [server, 'spiffe://other.example/server'] }],
];

/** Every combination of what decides about the shape of a configuration; other values take turns. */
export function bootstrapCases(jwksFile: string): readonly BootstrapFlags[] {
  const file = `issuer=https://login.example,audience=shop,jwks=${jwksFile}`;
  const site =
    'issuer=https://people.example,audience=a,audience=b,jwks=https://[2001:db8::1]:8443/keys?a=b';
  const tokens: readonly Part[] = [
    {},
    { jwtProvider: [file] },
    { jwtProvider: [site] },
    { jwtProvider: [file, site] },
  ];
  const turns = new Turns();
  return roles.flatMap((role) =>
    product([layers, streams, ...(role === 'client' ? [] : [ways, policyNames, tokens])])
      .filter(isGood)
      .map((shape) => ({
        role,
        spiffeId: server,
        agentSocket: '/run/trustplane/agent.sock',
        admin: '127.0.0.1:9901',
        maxConnectionDuration: '1h',
        ...shape,
        ...turns.next(values),
        ...(role === 'client' ? {} : turns.next(inboundValues)),
        ...(role === 'server' ? {} : turns.next(outboundValues)),
      })),
  );
}

/** What is refused is told by the tests of the flags. */
function isGood({ tcp, authz, authzSocket, policyName, jwtProvider }: Part): boolean {
  if (authz === 'none' && (policyName ?? jwtProvider) !== undefined) return false;
  if (tcp !== true) return true;
  const asks = authzSocket !== undefined;
  return authz !== 'rbac+check' && jwtProvider === undefined && !(asks && policyName !== undefined);
}

function product(lists: readonly (readonly Part[])[]): readonly Part[] {
  return lists.reduce<readonly Part[]>(
    (done, list) => done.flatMap((left) => list.map((right) => ({ ...left, ...right }))),
    [{}],
  );
}

/** Values of different options meet each other differently each time. */
class Turns {
  #taken = 0;

  next(lists: readonly (readonly Part[])[]): Part {
    const parts = lists.map(
      (list, at) => list[Math.floor(this.#taken / (at + 1)) % list.length] ?? {},
    );
    this.#taken += 1;
    return Object.assign({}, ...parts);
  }
}
