import { afterAll, describe, expect, it } from 'vitest';
import {
  attributeFilter,
  evaluateMatcher,
  type Matcher,
  type MatchFacts,
  type RbacParts,
  rbacJson,
  rbacMessage,
  sourceOfConnection,
} from '../../src/authz/rbac/index.ts';
import {
  jwtFilter,
  makeTls,
  pemOf,
  routerFilter,
  TYPES,
  tokenOf,
  transportSocket,
} from '../differential/judged-parts.ts';
import { claims, claimsNamespace, RandomTrees, texts } from '../differential/random-trees.ts';
import { type RawAnswer, RawClient } from '../differential/raw-client.ts';
import { treeOfAll } from '../fakes/rbac-trees.ts';
import { makeAuthority, makeCertificate } from '../fakes/test-certificates.ts';
import { freePorts } from '../programs/free-ports.ts';
import { adminSocketOf, launchEnvoy, validateBootstrap } from '../programs/launch-envoy.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { createSeededRandom } from '../programs/seeded-random.ts';

const HOUR_MS = 3_600_000;
const TREES = 60;
const REQUESTS = 200;
const METADATA = '%DYNAMIC_METADATA(envoy.filters.http.rbac)%';
const nothing: Matcher = { kind: 'action', name: 'no_rule_matched', action: 'DENY' };

const stack = new AsyncDisposableStack();
afterAll(async () => await stack.disposeAsync());

function httpListener(port: number, filters: readonly object[], more: object): object {
  const type = `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`;
  const header = (key: string, value: string): object => ({ header: { key, value } });
  const routes = [{ match: { prefix: '/' }, direct_response: { status: 200 } }];
  const manager = {
    '@type': type,
    stat_prefix: 'inbound',
    http_filters: [jwtFilter, ...filters, routerFilter],
    route_config: {
      response_headers_to_add: [
        header('x-rbac', METADATA),
        header('x-serial', '%DOWNSTREAM_PEER_SERIAL%'),
      ],
      virtual_hosts: [{ name: 'all', domains: ['*'], routes }],
    },
  };
  return {
    name: `inbound-${port}`,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [
      {
        ...more,
        filters: [
          sourceOfConnection,
          { name: 'envoy.filters.network.http_connection_manager', typed_config: manager },
        ],
      },
    ],
  };
}

describe('a tree of RBAC', () => {
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());

  it('is taken by Envoy with every kind of node', async () => {
    const tree = (target: 'http' | 'network', parts: Partial<RbacParts> = {}): object => ({
      name: 'rules',
      typed_config: rbacJson(rbacMessage({ target, matcher: treeOfAll(target), ...parts })),
    });
    const http = tree('http', { shadow: nothing, perRuleStats: true });
    const network = tree('network', { shadow: treeOfAll('network') });
    const proxy = {
      '@type': `${TYPES}.filters.network.tcp_proxy.v3.TcpProxy`,
      stat_prefix: 'tcp',
      cluster: 'app',
    };
    const tcp = {
      name: 'tcp',
      address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
      filter_chains: [
        { filters: [network, { name: 'envoy.filters.network.tcp_proxy', typed_config: proxy }] },
      ],
    };
    const listeners = [httpListener(0, [http], {}), tcp];
    const bootstrap = JSON.stringify({
      static_resources: { listeners, clusters: [{ name: 'app' }] },
    });
    expect(await validateBootstrap(bootstrap, folder.path)).toBeUndefined();
  });

  it(`comes to in Envoy what the interpreter says (${TREES} random trees, ${REQUESTS} requests)`, async () => {
    const random = createSeededRandom(Number(process.env['SEED']));
    const maker = new RandomTrees(random);
    const trees = Array.from({ length: TREES }, () => maker.next(4));
    const ask = await launch(folder.path, trees);
    const came = { matched: 0, missed: 0 };
    for (let number = 0; number < REQUESTS; number++) {
      const { head, facts, caller, address } = randomRequest(random);
      const answer = await ask(caller, address, head);
      const said = JSON.parse(answer.headers.get('x-rbac') ?? '{}');
      const serial = answer.headers.get('x-serial');
      for (const [at, tree] of trees.entries()) {
        const expected = evaluateMatcher(tree, { ...facts, serial });
        const name = said[`t${at}_shadow_effective_policy_id`];
        const result = said[`t${at}_shadow_engine_result`];
        expect({ at, head, caller, tree, name, result }).toEqual({
          at,
          head,
          caller,
          tree,
          name: expected?.name,
          result: expected?.action === 'ALLOW' ? 'allowed' : 'denied',
        });
        came[expected === undefined ? 'missed' : 'matched']++;
      }
    }
    expect(came.matched).toBeGreaterThan((TREES * REQUESTS) / 10);
    expect(came.missed).toBeGreaterThan((TREES * REQUESTS) / 10);
  });
});

type Ask = (caller: Caller, address: string, head: string) => Promise<RawAnswer>;
const callers = [
  undefined,
  ['spiffe://td/a'],
  ['spiffe://td/a/b'],
  ['spiffe://td/b'],
  ['spiffe://td/a', 'spiffe://td/b'],
  [],
] as const;
type Caller = (typeof callers)[number];

/** An Envoy in which each request is judged by all trees, and the answer says what came. */
async function launch(folder: string, trees: readonly Matcher[]): Promise<Ask> {
  const validity = { notBefore: Date.now() - HOUR_MS, notAfter: Date.now() + HOUR_MS };
  const authority = await makeAuthority({ uris: ['spiffe://td'], ...validity });
  const [port = 0] = await freePorts(1);
  const attributes = attributeFilter('request', (entry) => entry);
  const filters = trees.map((shadow, at) => ({
    name: `rules-${at}`,
    typed_config: rbacJson(
      rbacMessage({
        target: 'http',
        matcher: { kind: 'action', name: 'go_on', action: 'ALLOW' },
        shadow,
        shadowStatPrefix: `t${at}_`,
      }),
    ),
  }));
  const tls = { transport_socket: transportSocket(await makeTls(authority, 'spiffe://td/server')) };
  const listener = httpListener(port, [attributes, ...filters], tls);
  const envoy = await launchEnvoy({
    folder,
    name: 'trees',
    bootstrap: JSON.stringify({
      admin: { address: { pipe: { path: adminSocketOf(folder, 'trees') } } },
      static_resources: { listeners: [listener] },
    }),
  });
  stack.defer(async () => await envoy.stop());
  await envoy.waitReady();
  const clients = new Map<string, RawClient>();
  stack.defer(() => clients.forEach((client) => client.close()));
  for (const uris of callers) {
    const leaf =
      uris &&
      (await pemOf(
        await makeCertificate({ issuer: authority, uris, subject: 'CN=c', ...validity }),
      ));
    for (const localAddress of ['127.0.0.1', '127.0.0.2'])
      clients.set(keyOf(uris, localAddress), new RawClient({ port, localAddress, identity: leaf }));
  }
  return async (caller, address, head) => {
    const client = clients.get(keyOf(caller, address));
    if (client === undefined) throw new Error('nobody calls so');
    return await client.ask(head);
  };
}

function keyOf(caller: Caller, address: string): string {
  return `${caller === undefined ? '-' : caller.join()} ${address}`;
}

function randomRequest(random: (limit: number) => number) {
  const oneOf = <T>(values: readonly T[]): T | undefined => values[random(values.length)];
  const caller = oneOf(callers);
  const address = `127.0.0.${1 + random(2)}`;
  const path = oneOf(texts.path) ?? '/';
  const method = oneOf(['GET', 'POST']) ?? 'GET';
  const host = oneOf(texts[':authority']) ?? 'api.example';
  const lines = oneOf([[], ...texts['x-a'].map((text) => [text]), ['p', 'q']]) ?? [];
  const payload = oneOf([
    undefined,
    ...claims.map((role) => ({ role, groups: [role, 'else'] })),
    { groups: 'ops', role: ['ops'] },
  ]);
  const heads = [
    `${method} ${path}${oneOf(['', '?a=/v1/x'])} HTTP/1.1`,
    `host: ${host}`,
    ...lines.map((text) => `x-a: ${text}`),
    // Nobody is believed about these.
    'x-envoy-original-path: /v1/x',
    'x-forwarded-for: 10.0.0.1',
    ...(payload === undefined ? [] : [`x-token: ${tokenOf({ ...payload, iss: 'i' })}`]),
  ];
  const facts: Omit<MatchFacts, 'serial'> = {
    isMtls: caller !== undefined,
    uriSan: caller === undefined || caller.length === 0 ? undefined : caller.join(),
    path,
    headers: new Map([
      [':method', method],
      [':authority', host],
      ...(lines.length === 0 ? [] : [['x-a', lines.join()] as const]),
    ]),
    sourceIp: address,
    destinationIp: '127.0.0.1',
    ...(payload !== undefined && { metadata: { [claimsNamespace]: { jwt_payload: payload } } }),
  };
  return { head: `${heads.join('\r\n')}\r\n\r\n`, facts, caller, address };
}
