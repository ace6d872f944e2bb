import { readFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { openRbacMesh, type RbacMesh, type RbacMeshOptions } from '../programs/open-rbac-mesh.ts';

const ALWAYS = { id: 'always', allow: ['GET /always'] };
/** A filter of HTTP that asks for the rules of connections, which it cannot take; nothing of it is denied. */
const WRONG = {
  name: 'trustplane.network-rbac',
  config_discovery: {
    type_urls: ['type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC'],
    default_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC',
    },
    apply_default_config_without_warming: true,
    config_source: {
      resource_api_version: 'V3',
      api_config_source: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'trustplane_agent' } }],
      },
    },
  },
};

const statusOf = async (mesh: RbacMesh, line: string, agent?: Agent): Promise<number> =>
  (await mesh.ask(line, agent)).status;

async function launch(options: RbacMeshOptions): Promise<RbacMesh> {
  const mesh = await openRbacMesh(options);
  onTestFinished(async () => await mesh.close());
  return mesh;
}

describe('an Envoy that decides by the rules of the agent', () => {
  let mesh: RbacMesh;
  beforeAll(async () => {
    mesh = await openRbacMesh({ rules: [ALWAYS] });
    await mesh.untilAllowed('GET /always');
  });
  afterAll(async () => await mesh?.close());

  it('obeys an edited file on a connection that is open, and shows which policies it has', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    expect(await statusOf(mesh, 'GET /edit', agent)).toBe(403);
    mesh.save([ALWAYS, { id: 'edit', allow: ['GET /edit'] }]);
    await eventually('the rule', async () => (await statusOf(mesh, 'GET /edit', agent)) === 200);
    mesh.save([ALWAYS]);
    await eventually('no rule', async () => (await statusOf(mesh, 'GET /edit', agent)) === 403);
    expect(await statusOf(mesh, 'GET /always', agent)).toBe(200);
    await eventually('its digest', async () =>
      /envoy server \(pid \d+\): digest [0-9a-f]{12}$/mu.test(await mesh.status()),
    );
  });

  it('keeps what it has where policies have a mistake', async () => {
    mesh.save([{ allow: ['no path'] }]);
    await eventually('the complaint', () =>
      mesh.trustplane.lines.some((line) => line.includes('policies are refused')),
    );
    expect([await statusOf(mesh, 'GET /always'), await statusOf(mesh, 'GET /other')]).toEqual([
      200, 403,
    ]);
    mesh.save([ALWAYS]);
  });

  it('denies a caller that is revoked at once, on a connection that is open', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    expect(await statusOf(mesh, 'GET /always', agent)).toBe(200);
    const { adminSocket } = mesh.trustplane;
    const flags = [mesh.clientEntry, '--admin-socket', adminSocket];
    expect(await runTrustplane('entry', 'delete', ...flags)).toMatchObject({ code: 0 });
    await eventually(
      'the denial',
      async () => (await statusOf(mesh, 'GET /always', agent)) === 403,
    );
    // Envoy writes it every ten seconds.
    const log = await eventually('the log', async () => {
      const text = await readFile(mesh.accessLog, 'utf8');
      return text.includes('matched_policy[revoked]') ? text : undefined;
    });
    expect(log).toContain('rbac_access_denied_matched_policy[no_rule_matched]');
  });
});

it('has the same over one stream with its secrets (ADS)', async () => {
  const mesh = await launch({ rules: [ALWAYS], isAggregated: true });
  await mesh.untilAllowed('GET /always');
  mesh.save([{ id: 'edit', allow: ['GET /edit'] }]);
  await mesh.untilAllowed('GET /edit');
  expect(await statusOf(mesh, 'GET /always')).toBe(403);
});

it('says who refuses what, and why, while everything else goes on', async () => {
  const mesh = await launch({ rules: [ALWAYS], filter: WRONG });
  await mesh.untilAllowed('GET /always');
  const line = await eventually('the refusal', () =>
    mesh.trustplane.lines.find((one) => one.includes('an Envoy refuses its rules')),
  );
  expect(JSON.parse(line)).toMatchObject({
    envoy: expect.stringMatching(/^envoy server \(pid \d+\)$/u),
    name: WRONG.name,
    refusal: expect.stringContaining('envoy.extensions.filters.network.rbac.v3.RBAC'),
  });
  expect(await mesh.status()).toMatch(/envoy server \(pid \d+\): .*refused/u);
  mesh.save([{ id: 'edit', allow: ['GET /edit'] }]);
  await mesh.untilAllowed('GET /edit');
});

it('gives nobody the rules of a service that it is not', async () => {
  const name = 'trustplane.rbac:spiffe://example.org/other';
  const mesh = await launch({ rules: [ALWAYS], filter: { ...WRONG, name } });
  await mesh.untilAllowed('GET /always');
  const line = await eventually('the refusal', () =>
    mesh.trustplane.lines.find((one) => one.includes(name)),
  );
  expect(line).toContain('the caller has the identities');
  expect(await mesh.server.admin('/config_dump?resource=ecds_filters')).not.toContain(
    'example.org/other',
  );
});

it('is waited for where policies are applied to the control plane, and shown by name', async () => {
  const policies = { from: 'control-plane' };
  const mesh = await launch({ rules: [ALWAYS], authz: { policies } });
  const { adminSocket } = mesh.trustplane;
  const policy = async (...args: readonly string[]) =>
    await runTrustplane('policy', ...args, '--admin-socket', adminSocket);
  const apply = async () =>
    await policy('apply', '-f', mesh.policies, '--reason', 'a change', '--wait');
  expect(await statusOf(mesh, 'GET /always')).toBe(403);
  expect(await apply()).toMatchObject({ code: 0 });
  expect(await statusOf(mesh, 'GET /always')).toBe(200);
  mesh.save([{ id: 'edit', allow: ['GET /edit'] }]);
  expect(await apply()).toMatchObject({ code: 0 });
  expect([await statusOf(mesh, 'GET /edit'), await statusOf(mesh, 'GET /always')]).toEqual([
    200, 403,
  ]);
  const { stdout } = await policy('status', '--output', 'json');
  const status: { agents: readonly { takers: readonly object[] }[] } = JSON.parse(stdout);
  expect(status.agents.flatMap(({ takers }) => takers)).toMatchObject([
    { name: 'rbac', state: 'in-force', version: 2 },
    { name: expect.stringMatching(/^envoy server \(pid \d+\)$/u), state: 'in-force', version: 2 },
  ]);
});
