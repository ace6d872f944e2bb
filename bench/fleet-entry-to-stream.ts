import { launchServerAndAgent } from '../test/programs/launch-server-and-agent.ts';
import type { Benchmark } from './measurement.ts';
import { p99OfRuns } from './p99-of-runs.ts';
import { timeArrivals } from './time-arrivals.ts';

const SAMPLES = 200;
const LIMIT_MS = 50;

/** From the call that creates an entry at the server to its SVID on a waiting SDS stream of an agent in another process. */
export const fleetEntryToStream: Benchmark = p99OfRuns({
  name: 'fleet_entry_to_stream_p99_ms',
  about: `entry created at the server → its SVID on an open SDS stream of an agent that is joined over TLS; p99 of ${SAMPLES}`,
  limitMs: LIMIT_MS,
  measure: async (folder) => {
    await using fleet = await launchServerAndAgent(folder);
    return await timeArrivals(fleet, SAMPLES);
  },
});
