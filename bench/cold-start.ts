import path from 'node:path';
import { createAdminClient } from '../src/client/index.ts';
import { spawnTied } from '../test/programs/tied-child.ts';
import { firstSvid } from './first-svid.ts';
import { against, type Benchmark, median } from './measurement.ts';
import { withTemporaryFolder } from './temporary-folder.ts';
import { waitForSocket } from './wait-for-socket.ts';

const RUNS = 7;
const LIMIT_MS = 1_000;
const PROGRAM = path.join(import.meta.dirname, '..', 'bin', 'trustplane.js');

/** From the start of the process, on an empty data directory, to the first SVID of a waiting client. */
export const coldStart: Benchmark = {
  name: 'cold_start_first_svid_ms',
  about: `process start of "trustplane up" on an empty data directory → first SVID at a waiting Workload API client; median of ${RUNS}`,
  async run(report) {
    const times: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      times.push(await withTemporaryFolder(startOnce));
      report(`${times.at(-1)?.toFixed(0) ?? ''} ms`);
    }
    return against(coldStart.name, median(times), 'ms', LIMIT_MS);
  },
};

async function startOnce(folder: string): Promise<number> {
  const socket = path.join(folder, 'agent.sock');
  const adminSocket = path.join(folder, 'admin.sock');
  const began = performance.now();
  const child = spawnTied(process.execPath, [
    PROGRAM,
    'up',
    '--data-dir',
    path.join(folder, 'data'),
    '--socket',
    socket,
    '--admin-socket',
    adminSocket,
    '--log-level',
    'warn',
  ]);
  try {
    await Promise.all([createEntry(adminSocket), firstSvid(socket)]);
    return performance.now() - began;
  } finally {
    await child.stop();
  }
}

/** The command an operator issues while the server still starts. */
async function createEntry(adminSocket: string): Promise<void> {
  await waitForSocket(adminSocket);
  const client = createAdminClient(adminSocket);
  try {
    await client.createEntry({
      spiffe_id: { trust_domain: 'example.org', path: '/workload' },
      parent_id: { trust_domain: 'example.org', path: '/spire/agent/local/up' },
      selectors: [{ type: 'unix', value: `uid:${process.getuid?.() ?? 0}` }],
    });
  } finally {
    client.close();
  }
}
