import path from 'node:path';
import { createJoinTokenAttestation } from '../src/attest/index.ts';
import { createAdminClient } from '../src/client/index.ts';
import { openNode } from '../src/node/index.ts';
import { createMetrics, silentLog, systemClock } from '../src/ops/index.ts';
import { SpiffeId, TrustDomain } from '../src/spiffe/index.ts';
import { type LaunchedServer, launchServer } from '../test/programs/launch-server.ts';
import { residentMib } from '../test/programs/memory.ts';
import { entriesPerNode, fillWithEntries, nodePath } from './fill-with-entries.ts';
import { against, type Benchmark, median } from './measurement.ts';
import { cpuSecondsOf } from './process-cpu.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

const ENTRIES = 100_000;
const RUNS = 3;
const LIMIT_MS = 5_000;
const LIMIT_MIB = 400;

interface Restart {
  readonly readyMs: number;
  readonly residentMib: number;
}

/** How long a server is away that has much to remember. */
export const entries100kReady: Benchmark = {
  name: 'entries_100k_ready_ms',
  about: `process start of a server with ${ENTRIES.toLocaleString('en')} entries → it says it serves agents and administrators; median of ${RUNS}`,
  async run(report) {
    const restarts = await measureOnce(report);
    const ready = median(restarts.map(({ readyMs }) => readyMs));
    return against(entries100kReady.name, ready, 'ms', LIMIT_MS);
  },
};

/** What it holds then, with an agent that has been told its entries. */
export const entries100kMemory: Benchmark = {
  name: 'entries_100k_rss_mb',
  about: `resident memory of that server once an agent has its ${entriesPerNode} entries; the most of ${RUNS}`,
  async run(report) {
    const restarts = await measureOnce(report);
    const most = Math.max(...restarts.map((restart) => restart.residentMib));
    return against(entries100kMemory.name, most, 'MB', LIMIT_MIB, 'at-most');
  },
};

let measured: Promise<readonly Restart[]> | undefined;

/** Both figures come of one run. */
function measureOnce(report: (progress: string) => void): Promise<readonly Restart[]> {
  measured ??= withTemporaryFolder((folder) => measure(folder, report));
  return measured;
}

async function measure(folder: string, report: (progress: string) => void): Promise<Restart[]> {
  await (await launchServer(folder)).stop();
  await fillWithEntries(path.join(folder, 'data'), ENTRIES);
  const restarts: Restart[] = [];
  for (let run = 0; run < RUNS; run++) restarts.push(await restart(folder, report));
  return restarts;
}

async function restart(folder: string, report: (progress: string) => void): Promise<Restart> {
  const began = performance.now();
  const server = await launchServer(folder, { config: 'log: { level: warn }' });
  try {
    const readyMs = performance.now() - began;
    const cpuSeconds = cpuSecondsOf(server.pid);
    await checkServing(server);
    const resident = residentMib(server.pid);
    report(
      `${readyMs.toFixed(0)} ms, ${cpuSeconds.toFixed(2)} s of CPU, ${resident.toFixed(0)} MiB`,
    );
    return { readyMs, residentMib: resident };
  } finally {
    await server.stop();
  }
}

/** It knows all entries, and an agent that joins is told its own. */
async function checkServing(server: LaunchedServer): Promise<void> {
  const admin = createAdminClient(server.adminSocket);
  const count = await admin.countEntries({});
  admin.close();
  const agentId = SpiffeId.parse(`spiffe://example.org${nodePath(0)}`);
  const { token } = await server.agents.createJoinToken(600, agentId);
  const node = openNode({
    trustDomain: TrustDomain.parse('example.org'),
    servers: [{ host: '127.0.0.1', port: server.port }],
    bootstrap: { kind: 'insecure' },
    attestation: createJoinTokenAttestation(token),
    agentVersion: 'bench',
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    metrics: createMetrics(),
  });
  try {
    node.start();
    await node.ready;
    const { entries } = node.status();
    if (count < ENTRIES || entries < entriesPerNode)
      throw new Error(`${count} entries at the server, ${entries} at the agent`);
  } finally {
    await node.close();
  }
}
