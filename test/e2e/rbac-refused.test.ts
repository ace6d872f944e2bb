import { expect, it, onTestFinished } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { openRbacMesh, rbacService } from '../programs/open-rbac-mesh.ts';

const BUFFER = 'type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer';
/** Takes no rules at all. */
const refusing = {
  name: `trustplane.rbac-before-check:${rbacService}`,
  config_discovery: {
    type_urls: [BUFFER],
    default_config: { '@type': BUFFER, max_request_bytes: 1_000 },
    apply_default_config_without_warming: true,
    config_source: {
      resource_api_version: 'V3',
      api_config_source: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'trustplane_agent' } }],
      },
    },
  },
};

it('an Envoy that refuses rules, and what asks about all, is sent each once', async () => {
  const mesh = await openRbacMesh({ rules: [{ id: 'one', allow: ['GET /1'] }], filter: refusing });
  onTestFinished(async () => await mesh.close());
  await mesh.untilAllowed('GET /1');
  const refusals = async (): Promise<number> => {
    const stats = await mesh.server.stats('rbac-before-check.*update_rejected');
    return [...stats.values()].reduce((sum, count) => sum + count, 0);
  };
  await eventually('the refusals', async () => (await refusals()) >= 2);
  mesh.save([{ id: 'two', allow: ['GET /2'] }]);
  await mesh.untilAllowed('GET /2');
  mesh.save([{ id: 'three', allow: ['GET /3'] }]);
  await mesh.untilAllowed('GET /3');
  expect(await refusals()).toBeLessThanOrEqual(8);
  expect(await mesh.status()).toMatch(/refused/u);
});
