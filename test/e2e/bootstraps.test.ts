import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { encodePem } from '../../src/spiffe/index.ts';
import { makeAuthority } from '../fakes/test-certificates.ts';
import { validateBootstrap } from '../programs/launch-envoy.ts';
import {
  type BootstrapName,
  bootstrapNames,
  renderBootstrap,
} from '../programs/render-bootstrap.ts';

/** Not at this place on every machine. */
const hostAuthorities = '/etc/ssl/certs/ca-certificates.crt';
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'tp-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** Every value under a key, wherever it is in a document. */
function valuesOf(document: unknown, key: string): unknown[] {
  if (typeof document !== 'object' || document === null) return [];
  return Object.entries(document).flatMap(([name, value]) =>
    name === key ? [value, ...valuesOf(value, key)] : valuesOf(value, key),
  );
}

describe.each(bootstrapNames)('envoy/%s.yaml', (name) => {
  it('is taken by Envoy as it is', async () => {
    const authorities = path.join(folder, 'authorities.pem');
    const own = name === 'authorized-users' ? { [hostAuthorities]: authorities } : {};
    const { der } = await makeAuthority({ uris: ['spiffe://example.org'] });
    await writeFile(authorities, encodePem('CERTIFICATE', der));
    expect(await validateBootstrap(await renderBootstrap(name, own), folder)).toBeUndefined();
  });

  it('has one sds_config for all secrets (SDS-23)', async () => {
    const configs = valuesOf(parse(await renderBootstrap(name, {})), 'sds_config');
    expect(configs.length).toBeGreaterThanOrEqual(2);
    expect(new Set(configs.map((config) => JSON.stringify(config))).size).toBe(1);
  });

  it('requires a client certificate and TLS 1.2, and resumes no session', async () => {
    const document: unknown = parse(await renderBootstrap(name, {}));
    const contexts = valuesOf(document, 'typed_config').map((context) => JSON.stringify(context));
    const inbound = contexts.filter((context) => context.includes('.DownstreamTlsContext"'));
    const outbound = contexts.filter((context) => context.includes('.UpstreamTlsContext"'));
    expect(inbound.length + outbound.length).toBeGreaterThan(0);
    for (const context of inbound) {
      expect(JSON.parse(context)).toMatchObject({
        require_client_certificate: true,
        disable_stateless_session_resumption: true,
        disable_stateful_session_resumption: true,
        common_tls_context: { tls_params: { tls_minimum_protocol_version: 'TLSv1_2' } },
      });
      expect(context).not.toContain('session_ticket_keys');
    }
    for (const context of outbound)
      expect(JSON.parse(context)).toMatchObject({
        max_session_keys: 0,
        common_tls_context: { tls_params: { tls_minimum_protocol_version: 'TLSv1_2' } },
      });
  });

  it('keeps the admin interface on the host', async () => {
    const document: unknown = parse(await renderBootstrap(name, {}));
    expect(document).toMatchObject({
      admin: { address: { socket_address: { address: '127.0.0.1' } } },
    });
  });

  it('renders only where an operator would change it', async () => {
    const rendered = await renderBootstrap(name, { 'example.org': 'test.example' });
    expect(rendered).not.toContain('example.org');
    await expect(renderBootstrap(name, { 'cluster: server': 'x' })).rejects.toThrow(
      'no line marked',
    );
  });
});

/** The configurations of Envoy's filters whose type ends so. */
async function filtersOf(name: BootstrapName, type: string): Promise<readonly unknown[]> {
  const configs = valuesOf(parse(await renderBootstrap(name, {})), 'typed_config');
  return configs.filter((config) => JSON.stringify(config).startsWith(`{"@type":"${type}`));
}

describe.each(bootstrapNames.filter((name) => name.startsWith('authorized-')))(
  'the question in envoy/%s.yaml',
  (name) => {
    it('lets nobody in without an answer, and sends the certificate (AUTHZ-13)', async () => {
      const kind = name === 'authorized-tcp' ? 'network' : 'http';
      const type = `type.googleapis.com/envoy.extensions.filters.${kind}.ext_authz.v3.ExtAuthz`;
      expect(await filtersOf(name, type)).toEqual([
        expect.objectContaining({
          transport_api_version: 'V3',
          failure_mode_allow: false,
          include_peer_certificate: true,
          grpc_service: { timeout: '0.2s', envoy_grpc: { cluster_name: 'trustplane_authz' } },
          ...(kind === 'http' && {
            status_on_error: { code: 'ServiceUnavailable' },
            encode_raw_headers: true,
            clear_route_cache: false,
            validate_mutations: true,
          }),
        }),
      ]);
    });
  },
);

describe.each(['authorized-sidecar', 'authorized-users'] as const)('envoy/%s.yaml', (name) => {
  it('has one spelling of hosts, paths and names of headers', async () => {
    const manager =
      'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
    expect(await filtersOf(name, manager)).toEqual([
      expect.objectContaining({
        forward_client_cert_details: 'SANITIZE',
        strip_any_host_port: true,
        strip_trailing_host_dot: true,
        normalize_path: true,
        merge_slashes: true,
        path_with_escaped_slashes_action: 'REJECT_REQUEST',
        request_headers_timeout: '10s',
        common_http_protocol_options: expect.objectContaining({
          headers_with_underscores_action: 'REJECT_REQUEST',
        }),
      }),
    ]);
  });
});

it('asks about claims of verified tokens alone in envoy/authorized-users.yaml (AUTHZ-12)', async () => {
  const filters = 'type.googleapis.com/envoy.extensions.filters.http.';
  const [tokens] = await filtersOf('authorized-users', `${filters}jwt_authn`);
  expect(JSON.stringify(tokens)).toContain('"payload_in_metadata":"jwt_payload"');
  expect(JSON.stringify(tokens)).not.toContain('allow_missing_or_failed');
  expect(await filtersOf('authorized-users', `${filters}ext_authz`)).toEqual([
    expect.objectContaining({ metadata_context_namespaces: ['envoy.filters.http.jwt_authn'] }),
  ]);
});
