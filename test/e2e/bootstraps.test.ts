import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { validateBootstrap } from '../programs/launch-envoy.ts';
import { bootstrapNames, renderBootstrap } from '../programs/render-bootstrap.ts';

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
    expect(await validateBootstrap(await renderBootstrap(name, {}), folder)).toBeUndefined();
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
