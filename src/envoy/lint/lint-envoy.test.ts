import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Danger, dangers, istioCaller } from '../../../test/fixtures/envoy-lint/dangers.ts';
import { parseBootstrapFlags } from '../bootstrap/parse-flags.ts';
import { writeBootstrapJson, writeBootstrapYaml } from '../bootstrap/write-bootstrap.ts';
import { fixEnvoy, lintEnvoy } from './lint-envoy.ts';
import { lintRules } from './lint-rules.ts';

const root = path.join(import.meta.dirname, '../../..');
const folder = 'test/fixtures/envoy-lint';
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const baseOf = (name: string): string => read(name.includes('/') ? name : `${folder}/${name}`);
const lint = (text: string) => lintEnvoy([{ file: 'envoy.yaml', text }]).findings;
const codes = (text: string) => [...new Set(lint(text).map(({ code }) => code))];
const fix = (text: string): string =>
  fixEnvoy([{ file: 'envoy.yaml', text }]).texts[0]?.text ?? 'no text';

function makeDangerous({ base, sound, dangerous, also }: Danger): string {
  const text = baseOf(base);
  expect(text).toContain(sound);
  const once = text.replace(sound, () => dangerous);
  if (also === undefined) return once;
  expect(once).toContain(also[0]);
  return once.replace(also[0], () => also[1]);
}

describe('what is dangerous', () => {
  for (const [index, danger] of dangers.entries())
    it(`is found: ${danger.code} (${index}, ${danger.base})`, () => {
      const text = makeDangerous(danger);
      expect(codes(text)).toEqual([danger.code]);
      const found = lint(text);
      expect(found.every(({ isFixable }) => isFixable)).toBe(danger.isFixed ?? false);
      const after = fix(text);
      expect(codes(after)).toEqual(danger.isFixed === true ? [] : [danger.code]);
      expect(after === text).toBe(danger.isFixed !== true);
    });

  it('is shown for every code that there is', () => {
    expect([...new Set(dangers.map(({ code }) => code))].toSorted()).toEqual(
      Object.keys(lintRules).toSorted(),
    );
  });
});

describe('what is sound', () => {
  it.each(globSync(path.join(root, 'envoy/*.yaml')))('is left in peace: %s', (file) => {
    expect(lint(readFileSync(file, 'utf8'))).toEqual([]);
  });

  // What they are in the shape of stands in each.
  it.each(globSync(path.join(root, folder, '*.{yaml,json}')))('is left in peace: %s', (file) => {
    expect(lint(readFileSync(file, 'utf8'))).toEqual([]);
  });

  it.each([
    ['--authz rbac'],
    ['--authz rbac --ads'],
    ['--authz rbac --sotw'],
    ['--authz rbac --tcp'],
    ['--authz none --callers'],
    ['--authz check --socket'],
    ['--authz check --socket --tcp'],
    ['--authz rbac+check --socket'],
    ['--authz rbac+check --socket --ads'],
    ['--authz rbac+check --tcp-check'],
    ['--role client --peer'],
    ['--role both --peer --authz rbac'],
  ])('is what the bootstrap command writes: %s', (line) => {
    const has = (flag: string): boolean => line.split(' ').includes(flag);
    const [, authz] = /--authz (\S+)/u.exec(line) ?? [];
    const options = parseBootstrapFlags({
      spiffeId: 'spiffe://example.org/server',
      role: line.includes('client') ? 'client' : line.includes('both') ? 'both' : 'server',
      agentSocket: '/run/trustplane/agent.sock',
      admin: '127.0.0.1:9901',
      maxConnectionDuration: '1h',
      ...(authz === 'none' || authz === 'check' || authz === 'rbac' || authz === 'rbac+check'
        ? { authz }
        : {}),
      ...(has('--callers') ? { callerId: ['spiffe://example.org/client'] } : {}),
      ...(has('--socket') ? { authzSocket: '/run/trustplane/authz.sock' } : {}),
      ...(has('--tcp-check')
        ? { authzSocket: 'authz.example:9191', authzId: 'spiffe://example.org/authz' }
        : {}),
      ...(has('--peer')
        ? { peer: 'server.example:8443', peerId: ['spiffe://example.org/server'] }
        : {}),
      ...(has('--ads') ? { ads: true } : {}),
      ...(has('--sotw') ? { sotw: true } : {}),
      ...(has('--tcp') ? { tcp: true } : {}),
    });
    expect(lint(writeBootstrapYaml(options, ['trustplane']))).toEqual([]);
    expect(lint(writeBootstrapJson(options))).toEqual([]);
  });
});

it.each([
  ['127.0.0.1:9191', false],
  ['dns:///localhost:9191', false],
  ['ipv6:[::1]:9191', false],
  ['authz.example:9191', true],
  ['127.0.0.1.example:9191', true],
])('decisions may come in the clear from this host alone: %s', (target, isFound) => {
  const text = `resources:
  - '@type': type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
    grpc_service: { google_grpc: { target_uri: '${target}', stat_prefix: a } }
`;
  expect(codes(text).includes('agent-in-clear')).toBe(isFound);
});

describe('secrets over ADS', () => {
  const cluster = `
    name: server
    type: STATIC
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context:
          tls_certificate_sds_secret_configs:
            - { name: default, sds_config: { ads: {}, resource_api_version: V3 } }
`;

  it('are found in clusters of the bootstrap alone', () => {
    const type = "'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster";
    expect(codes(`staticResources:\n  clusters:\n  -${cluster}`)).toContain(
      'cluster-secret-over-ads',
    );
    expect(codes(`resources:\n  - ${type}${cluster}`)).not.toContain('cluster-secret-over-ads');
  });
});

describe('published examples that are not sound', () => {
  // As in spiffe/spire-tutorials, k8s/envoy-x509: no certificate is demanded of callers, sessions are resumed, the
  // list of names is the deprecated one, and the listener opens without a certificate after 15 s.
  it("finds that SPIRE's backend lets in callers without a certificate", () => {
    const published = baseOf('spire-backend.yaml')
      .replace('              require_client_certificate: true\n', '')
      .replace('              disable_stateless_session_resumption: true\n', '')
      .replace('              disable_stateful_session_resumption: true\n', '')
      .replace('                      initial_fetch_timeout: 0s\n', '')
      .replace(/^ *retry_policy:\n.*\n/mu, '')
      .replace('                  max_connection_duration: 1800s\n', '')
      .replace('prefix: /profiles/', 'prefix: /profiles')
      .replaceAll(
        /^ *(?:normalize_path|merge_slashes|path_with_escaped_slashes_action): .*\n/gmu,
        '',
      )
      .replace(
        'http2_protocol_options: { connection_keepalive: { interval: 30s, timeout: 5s } }',
        'http2_protocol_options: {}',
      )
      .replace(
        /match_typed_subject_alt_names:\n(?: {22,}.*\n)*/u,
        'match_subject_alt_names:\n                      - exact: "spiffe://example.org/ns/shop/sa/web"\n',
      );
    expect(codes(published).toSorted()).toEqual([
      'agent-hang-unnoticed',
      'client-certificate-not-required',
      'connection-age-unbounded',
      'escaped-slashes-kept',
      'path-not-normalized',
      'rbac-path-open',
      'san-list-joined',
      'sds-fetch-timeout',
      'session-cache',
      'session-tickets',
      'slashes-not-merged',
      'slow-back-off',
    ]);
  });

  // As in istio/istio, pilot/pkg/security/authz/builder/testdata: a namespace is found anywhere in an ID, whoever is not
  // named is allowed, and an external authorizer that fails open and chooses the route again.
  it("finds what Istio's rules and authorizers leave open", () => {
    const inbound = baseOf('istio-inbound.json');
    expect(
      codes(
        inbound.replace(
          istioCaller,
          '"authenticated": { "principalName": { "safeRegex": { "regex": ".*/ns/shop/.*" } } }',
        ),
      ),
    ).toEqual(['rbac-principal-open']);
    expect(codes(inbound.replace(istioCaller, `"notId": { ${istioCaller} }`))).toEqual([
      'rbac-only-not',
    ]);
    const custom = `{
      "name": "envoy.filters.http.ext_authz",
      "typedConfig": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "failureModeAllow": true,
        "clearRouteCache": true,
        "grpcService": { "envoyGrpc": { "clusterName": "outbound|9000||authz" }, "timeout": "600s" },
        "statusOnError": { "code": "Forbidden" },
        "transportApiVersion": "V3",
        "withRequestBody": { "allowPartialMessage": true, "maxRequestBytes": 4096 }
      }
    },
    {
      "name": "envoy.filters.http.rbac"`;
    expect(
      codes(
        inbound.replace('{\n                    "name": "envoy.filters.http.rbac"', custom),
      ).toSorted(),
    ).toEqual([
      'authz-timeout-long',
      'body-cut',
      'failure-mode-allow',
      'headers-joined',
      'peer-certificate-not-sent',
      'route-cleared',
    ]);
  });
});

describe('several files', () => {
  const server = baseOf('envoy/server-sidecar.yaml');
  const plain = `resources:
  - "@type": type.googleapis.com/envoy.config.listener.v3.Listener
    name: plain
    address: { socket_address: { address: 0.0.0.0, port_value: 8088 } }
    filter_chains:
      - filters:
          - name: envoy.filters.network.tcp_proxy
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
              cluster: application
`;

  it('are of one Envoy where one of them is its bootstrap', () => {
    const both = [
      { file: 'bootstrap.yaml', text: server },
      { file: 'lds.yaml', text: plain },
    ];
    expect(lintEnvoy(both).findings).toMatchObject([
      {
        file: 'lds.yaml',
        line: 6,
        column: 9,
        code: 'plaintext-beside-mtls',
        path: 'resources.0.filter_chains.0',
      },
    ]);
    expect(lintEnvoy(both.slice(1)).findings).toEqual([]);
  });

  it('are each of its own where several are bootstraps', () => {
    const files = globSync(path.join(root, 'envoy/*.yaml'));
    expect(files.length).toBeGreaterThan(5);
    const texts = files.map((file) => ({ file, text: readFileSync(file, 'utf8') }));
    expect(lintEnvoy(texts)).toEqual({ findings: [], unknown: [] });
  });
});

it('says where a field stands, also one that is missing', () => {
  const text = baseOf('envoy/authorized-sidecar.yaml')
    .replace('failure_mode_allow: false', 'failure_mode_allow: true')
    .replace('                merge_slashes: true\n', '');
  const manager = 'static_resources.listeners.0.filter_chains.0.filters.0.typed_config';
  const lineOf = (part: string): number =>
    text.split('\n').findIndex((one) => one.includes(part)) + 1;
  expect(lint(text)).toMatchObject([
    { line: lineOf('v3.HttpConnectionManager'), column: 17, path: `${manager}.merge_slashes` },
    {
      line: lineOf('failure_mode_allow: true'),
      column: 43,
      path: `${manager}.http_filters.0.typed_config.failure_mode_allow`,
      message: lintRules['failure-mode-allow'].danger,
      fix: 'set failure_mode_allow: false',
      severity: 'error',
    },
  ]);
});

it('notes what it knows nothing about, once', () => {
  const text = baseOf('istio-inbound.json');
  expect(lintEnvoy([{ file: 'lds.json', text }]).unknown).toEqual([
    { file: 'lds.json', line: 100, column: 36, type: 'io.istio.http.peer_metadata.Config' },
  ]);
});

it('reads a dump of a running Envoy', () => {
  const tls =
    '"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"';
  const text = `{ "configs": [{
    "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
    "dynamic_active_clusters": [{ "cluster": {
      "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a",
      "transport_socket": { "name": "tls", "typed_config": { ${tls} } } } }] }] }`;
  expect(codes(text)).toEqual(['upstream-not-verified']);
});

it('looks into filters that a matcher chooses, and into those that a route has instead', () => {
  const matched = baseOf('envoy/authorized-sidecar.yaml')
    .replace('normalize_path: true', 'normalize_path: false')
    .replace(
      /( +)typed_config:\n( +"@type": \S+ext_authz\.v3\.ExtAuthz\n(?: +.*\n)+?)(?= +- name: envoy\.filters\.http\.router)/u,
      (_all, indent: string, inner: string) =>
        [
          `${indent}typed_config:`,
          `${indent}  "@type": type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher`,
          `${indent}  extension_config:`,
          `${indent}    name: asked`,
          `${indent}    typed_config:`,
          inner.replace(/^/gmu, '    ').trimEnd(),
          '',
        ].join('\n'),
    );
  expect(matched).toContain('ExtensionWithMatcher');
  expect(codes(matched)).toEqual(['path-not-normalized']);
  const route = `route: { cluster: api }
                          typed_per_filter_config:
                            envoy.filters.http.rbac:
                              "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute
                              rbac: { rules: { policies: { a: { permissions: [{ any: true }], principals: [{ any: true }] } } } }`;
  expect(codes(baseOf('spire-backend.yaml').replace('route: { cluster: api }', route))).toEqual([
    'rbac-allows-anyone',
  ]);
});
