import { type AdminClient, createAdminClient } from '../src/client/index.ts';
import {
  launchServerAndAgent,
  type ServerAndAgent,
} from '../test/programs/launch-server-and-agent.ts';
import type { Benchmark } from './measurement.ts';
import { p99OfRuns } from './p99-of-runs.ts';
import { openSecretStream } from './secret-stream.ts';

const SAMPLES = 200;
const LIMIT_MS = 50;

/** From the call that creates an entry at the server to its SVID on a waiting SDS stream of an agent in another process. */
export const fleetEntryToStream: Benchmark = p99OfRuns({
  name: 'fleet_entry_to_stream_p99_ms',
  about: `entry created at the server → its SVID on an open SDS stream of an agent that is joined over TLS; p99 of ${SAMPLES}`,
  limitMs: LIMIT_MS,
  measure: async (folder) => {
    await using fleet = await launchServerAndAgent(folder);
    return await createOneByOne(fleet);
  },
});

async function createOneByOne({
  socket,
  adminSocket,
  agentPath,
}: ServerAndAgent): Promise<number[]> {
  const client: AdminClient = createAdminClient(adminSocket);
  const paths = Array.from({ length: SAMPLES }, (_, index) => `/workload/${index}`);
  const stream = openSecretStream(
    socket,
    paths.map((path) => `spiffe://example.org${path}`),
  );
  const times: number[] = [];
  try {
    for (const path of paths) {
      const began = performance.now();
      const [arrived] = await Promise.all([
        stream.arrival(`spiffe://example.org${path}`),
        client.createEntry(workloadEntry(path, agentPath)),
      ]);
      times.push(arrived - began);
    }
    return times;
  } finally {
    stream.close();
    client.close();
  }
}

/** An entry that this user's processes match. */
export function workloadEntry(path: string, parentPath: string): object {
  return {
    spiffe_id: { trust_domain: 'example.org', path },
    parent_id: { trust_domain: 'example.org', path: parentPath },
    selectors: [{ type: 'unix', value: `uid:${process.getuid?.() ?? 0}` }],
  };
}
