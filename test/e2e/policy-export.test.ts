import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { routerFilter, TYPES } from '../differential/judged-parts.ts';
import { PolicyFolder, runPolicy } from '../fakes/policy-program.ts';
import { eventually } from '../programs/eventually.ts';
import { freePorts } from '../programs/free-ports.ts';
import { adminSocketOf, launchEnvoy, validateBootstrap } from '../programs/launch-envoy.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const stack = new AsyncDisposableStack();
afterAll(async () => await stack.disposeAsync());
const policies = stack.use(new PolicyFolder());
const folder = createRunFolder();
stack.defer(async () => await folder.remove());

const API = 'spiffe://prod.example/ns/payments/sa/api';
const examples = path.join(import.meta.dirname, '../../examples/policies');
const allTerms = policies.write(
  'all-terms.yaml',
  `service: ${API}`,
  'sets: { tellers: [spiffe://prod.example/ns/*/sa/teller, spiffe://prod.example/bank/**] }',
  'rules:',
  '  - { id: tellers, from: [$tellers], allow: [{ methods: [GET, POST], paths: [/v1/*/entries, /v1/**], hosts: ["*.api.example"] }] }',
  '  - { id: open, from: anyone, allow: [GET /healthz] }',
  '  - { id: inside, from: authenticated, allow: [{ port: 8443 }], when: { source.ip: [10.0.0.0/8, "fd00::/8"] } }',
  '  - { id: users, from: authenticated, allow: [GET /me], when: { jwt: { issuer: https://sso.example, claims: { groups: { contains: ops } } }, headers: { x-tenant: [a, "b*"] } } }',
  '  - { id: frozen, from: { ids: ["spiffe://prod.example/**"], except: [spiffe://prod.example/bank/root] }, deny: [DELETE /**] }',
  '  - { id: late, from: authenticated, allow: [GET /late], when: { time: { until: 2030-01-01T00:00:00Z } } }',
);

async function exportPolicy(...args: string[]): Promise<string> {
  const done = await runPolicy('export', '--format', 'envoy-rbac', ...args);
  if (done.code !== 0) throw new Error(done.err);
  return done.out;
}

function listener(port: number, filters: readonly unknown[], isHttp: boolean): object {
  const tcp = {
    '@type': `${TYPES}.filters.network.tcp_proxy.v3.TcpProxy`,
    stat_prefix: 'tcp',
    cluster: 'app',
  };
  const routes = [{ match: { prefix: '/' }, direct_response: { status: 200 } }];
  const http = {
    '@type': `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'inbound',
    http_filters: [...filters, routerFilter],
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
  };
  const last = { name: 'last', typed_config: isHttp ? http : tcp };
  return {
    name: `inbound-${port}`,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [{ filters: isHttp ? [last] : [...filters, last] }],
  };
}

describe('what policy export prints', () => {
  it.each(['alone', 'before-check', 'network'])('is taken by Envoy: %s', async (mode) => {
    for (const layout of ['nested', 'flat-denies'])
      for (const args of [[allTerms], [examples, '--service', API]]) {
        const out = await exportPolicy(...args, '--mode', mode, '--layout', layout);
        const inbound = listener(0, parse(out), mode !== 'network');
        const resources = { listeners: [inbound], clusters: [{ name: 'app' }] };
        const bootstrap = JSON.stringify({ static_resources: resources });
        expect(await validateBootstrap(bootstrap, folder.path)).toBeUndefined();
      }
  });

  it('is obeyed from a file, and so is what the file says next', async () => {
    const file = path.join(folder.path, 'rules.yaml');
    const put = async (...lines: string[]): Promise<void> => {
      const policy = policies.write('live.yaml', `service: ${API}`, ...lines);
      await exportPolicy(policy, '--as', 'resource', '--output-file', file);
    };
    await put('rules: [{ id: first, from: anyone, allow: [GET /v1/**] }]');
    const [port = 0] = await freePorts(1);
    const [attributes] = parse(await exportPolicy(allTerms));
    const rules = {
      name: 'trustplane.rbac',
      config_discovery: {
        type_urls: [`${TYPES}.filters.http.rbac.v3.RBAC`],
        config_source: { resource_api_version: 'V3', path_config_source: { path: file } },
      },
    };
    const envoy = await launchEnvoy({
      folder: folder.path,
      name: 'exported',
      bootstrap: JSON.stringify({
        admin: { address: { pipe: { path: adminSocketOf(folder.path, 'exported') } } },
        node: { id: 'api', cluster: 'api' },
        static_resources: { listeners: [listener(port, [attributes, rules], true)] },
      }),
    });
    stack.defer(async () => await envoy.stop());
    await envoy.waitReady();
    const statusOf = async (target: string): Promise<number> =>
      (await fetch(`http://127.0.0.1:${port}${target}`)).status;
    expect(await Promise.all(['/v1/x?a=1', '/v2/x', '/v1x'].map(statusOf))).toEqual([
      200, 403, 403,
    ]);
    await put('rules: [{ id: second, from: anyone, allow: [GET /v2/**] }]');
    await eventually('the new rules', async () => (await statusOf('/v2/x')) === 200 || undefined);
    expect(await statusOf('/v1/x')).toBe(403);
  });
});
