import { createAdminClient } from '../src/client/index.ts';
import { launchServerAndAgent } from '../test/programs/launch-server-and-agent.ts';
import { followSecrets, watchIdentities } from './identity-streams.ts';
import type { Benchmark } from './measurement.ts';
import { p99OfRuns } from './p99-of-runs.ts';
import { workloadEntry } from './workload-entry.ts';

const SAMPLES = 200;
const LIMIT_MS = 50;

/** From the call that deletes an entry at the server until an agent's Workload API and delta SDS streams both say so. */
export const fleetDeleteToStream: Benchmark = p99OfRuns({
  name: 'fleet_delete_to_stream_p99_ms',
  about: `entry deleted at the server → the Workload API and the delta SDS stream of a remote agent are without it; p99 of ${SAMPLES}`,
  limitMs: LIMIT_MS,
  measure,
});

async function measure(folder: string): Promise<number[]> {
  await using fleet = await launchServerAndAgent(folder);
  await using stack = new AsyncDisposableStack();
  const admin = createAdminClient(fleet.adminSocket);
  stack.defer(() => admin.close());
  // One that stays: a workload without any identity is refused, and its stream ends.
  await admin.createEntry(workloadEntry('/stays', fleet.agentPath));
  const identities = watchIdentities(fleet.socket, stack);
  await identities.settled((ids) => ids.has('spiffe://example.org/stays'));
  const secrets = followSecrets(fleet.socket, stack);
  const times: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    const id = `spiffe://example.org/goes/${sample}`;
    const [entry] = await Promise.all([
      admin.createEntry(workloadEntry(`/goes/${sample}`, fleet.agentPath)),
      identities.settled((ids) => ids.has(id)),
      secrets.subscribe(id),
    ]);
    const began = performance.now();
    const [seen, removed] = await Promise.all([
      identities.settled((ids) => !ids.has(id)),
      secrets.removal(id),
      admin.deleteEntries([entry.id]),
    ]);
    times.push(Math.max(seen, removed) - began);
  }
  return times;
}
