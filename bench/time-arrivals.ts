import { createAdminClient } from '../src/client/index.ts';
import { openSecretStream } from './secret-stream.ts';
import { workloadEntry } from './workload-entry.ts';

/**
 * Creates entries one after the other below an agent, on whose SDS stream their SVIDs are awaited;
 * returns the milliseconds from each call to the arrival.
 */
export async function timeArrivals(
  agent: { readonly socket: string; readonly adminSocket: string; readonly agentPath: string },
  samples: number,
): Promise<number[]> {
  const client = createAdminClient(agent.adminSocket);
  const paths = Array.from({ length: samples }, (_, index) => `/workload/${index}`);
  const stream = openSecretStream(
    agent.socket,
    paths.map((path) => `spiffe://example.org${path}`),
  );
  const times: number[] = [];
  try {
    for (const path of paths) {
      const began = performance.now();
      const [arrived] = await Promise.all([
        stream.arrival(`spiffe://example.org${path}`),
        client.createEntry(workloadEntry(path, agent.agentPath)),
      ]);
      times.push(arrived - began);
    }
    return times;
  } finally {
    stream.close();
    client.close();
  }
}
