import { createAdminClient } from '../src/client/index.ts';
import { launchTrustplane } from '../test/programs/launch-trustplane.ts';
import type { Benchmark } from './measurement.ts';
import { p99OfRuns } from './p99-of-runs.ts';
import { openSecretStream } from './secret-stream.ts';

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
  const client = createAdminClient(up.adminSocket);
  const paths = Array.from({ length: SAMPLES }, (_, index) => `/workload/${index}`);
  const stream = openSecretStream(
    up.socket,
    paths.map((path) => `spiffe://example.org${path}`),
  );
  const times: number[] = [];
  try {
    for (const path of paths) {
      const began = performance.now();
      const [arrived] = await Promise.all([
        stream.arrival(`spiffe://example.org${path}`),
        client.createEntry(entry(path)),
      ]);
      times.push(arrived - began);
    }
    return times;
  } finally {
    stream.close();
    client.close();
    await up.stop();
  }
}

function entry(path: string): object {
  return {
    spiffe_id: { trust_domain: 'example.org', path },
    parent_id: { trust_domain: 'example.org', path: '/spire/agent/local/up' },
    selectors: [{ type: 'unix', value: `uid:${process.getuid?.() ?? 0}` }],
  };
}
