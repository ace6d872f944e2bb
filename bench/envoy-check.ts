import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { launchAuthz } from '../test/programs/launch-authz.ts';
import { asRatio, type Benchmark } from './measurement.ts';
import { MESH_ROUNDS, MeshGround, medianCpuRatio, REQUESTS_PER_SECOND } from './mesh-ground.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

const RULES = 1_000;
const BAR = 5;
const CLIENT = 'spiffe://example.org/client';
const SERVER = 'spiffe://example.org/server';

/** CPU of each request of an Envoy that asks, its authorization server's with it, against the same Envoy without the filter. */
export const envoyCheckCpu: Benchmark = {
  name: 'envoy_check_cpu_ratio',
  about: `CPU of Envoy and "authz run" for each request at ${REQUESTS_PER_SECOND}/s over mTLS with ${RULES} rules, against Envoy alone, by turns, median of ${MESH_ROUNDS}`,
  async run(report) {
    const ratio = await withTemporaryFolder(async (folder) => await measure(folder, report));
    return asRatio(envoyCheckCpu.name, ratio, { kind: 'at-most', ratio: BAR });
  },
};

async function measure(folder: string, report: (progress: string) => void): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const ground = stack.use(await MeshGround.open(folder, CLIENT));
  const policies = path.join(folder, 'policies');
  mkdirSync(policies);
  writeFileSync(path.join(policies, 'p.yaml'), JSON.stringify(policyDocument()));
  const authz = launchAuthz(folder, {
    agentSocket: ground.trustplane.socket,
    authz: { policies, decisionLog: { file: path.join(folder, 'decisions.jsonl') } },
    metrics: { address: '127.0.0.1:0' },
  });
  stack.defer(async () => void (await authz.stop()));
  await authz.ready;
  const sides = [
    await ground.launch('alone', { filters: [] }),
    await ground.launch('asking', { authz: authz.authzSocket, beside: [authz.pid] }),
  ];
  const [alone, asking] = await ground.measure(sides, RULES, report);
  return medianCpuRatio(asking, alone);
}

/** Each rule has a path of its own, every other with a wildcard; all are the caller's. */
function policyDocument(): object {
  return {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'bench' },
    service: SERVER,
    rules: Array.from({ length: RULES }, (_, at) => ({
      id: `rule-${at}`,
      from: [CLIENT],
      allow: [at % 2 ? `GET /v1/items/${at}/**` : `GET /v1/items/${at}/state`],
      map: { 'x-user': 'client' },
    })),
  };
}
