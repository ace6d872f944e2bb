import { launchTrustplane } from '../test/programs/launch-trustplane.ts';
import type { Benchmark } from './measurement.ts';
import { p99OfRuns } from './p99-of-runs.ts';
import { timeArrivals } from './time-arrivals.ts';

const SAMPLES = 200;
const LIMIT_MS = 50;

/** From the call that creates an entry to its SVID on an SDS stream that has been waiting for it. */
export const entryToStream: Benchmark = p99OfRuns({
  name: 'entry_to_stream_p99_ms',
  about: `entry created over the admin socket → its SVID on an open SDS stream; p99 of ${SAMPLES}`,
  limitMs: LIMIT_MS,
  measure,
});

async function measure(folder: string): Promise<number[]> {
  const up = await launchTrustplane(folder, '--log-level', 'warn');
  try {
    return await timeArrivals({ ...up, agentPath: '/spire/agent/local/up' }, SAMPLES);
  } finally {
    await up.stop();
  }
}
