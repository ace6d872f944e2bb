import { createJoinTokenAttestation } from '../src/attest/index.ts';
import { createAdminClient } from '../src/client/index.ts';
import { type NodeIdentity, type NodeOptions, openNode } from '../src/node/index.ts';
import { createMetrics, silentLog, systemClock } from '../src/ops/index.ts';
import { type AgentFacts, SpiffeId, TrustDomain } from '../src/spiffe/index.ts';
import { type LaunchedServer, launchServer } from '../test/programs/launch-server.ts';
import { against, type Benchmark, median } from './measurement.ts';
import { withTemporaryFolder } from './temporary-folder.ts';
import { workloadEntry } from './workload-entry.ts';

const RUNS = 7;
const ENTRIES = 1_000;
const LIMIT_MS = 1_000;
const AT_ONCE = 50;
const NODE = '/node';

/** From the first packet of an agent that knows no entry to all its entitlements, over the sync stream of a server in another process. */
export const sync1000: Benchmark = {
  name: 'sync_1000_ms',
  about: `an agent connects over TLS and knows no entry → it knows its ${ENTRIES.toLocaleString('en')} entitlements; median of ${RUNS}`,
  async run(report) {
    const times = await withTemporaryFolder(async (folder) => {
      const server = await launchServer(folder);
      try {
        await createEntries(server.adminSocket);
        return await connectOften(server, report);
      } finally {
        await server.stop();
      }
    });
    return against(sync1000.name, median(times), 'ms', LIMIT_MS);
  },
};

async function createEntries(adminSocket: string): Promise<void> {
  const client = createAdminClient(adminSocket);
  try {
    for (let first = 0; first < ENTRIES; first += AT_ONCE) {
      const some = Array.from({ length: AT_ONCE }, (_, index) => `/workload/${first + index}`);
      await Promise.all(some.map((path) => client.createEntry(workloadEntry(path, NODE))));
    }
  } finally {
    client.close();
  }
}

async function connectOften(
  server: LaunchedServer,
  report: (progress: string) => void,
): Promise<number[]> {
  const { token } = await server.agents.createJoinToken(
    600,
    SpiffeId.parse(`spiffe://example.org${NODE}`),
  );
  const known: { identity?: NodeIdentity; facts?: AgentFacts } = {};
  await connectOnce(server, {
    attestation: createJoinTokenAttestation(token),
    saveIdentity: async (identity) => void Object.assign(known, { identity }),
    saveFacts: ({ trust }) =>
      void Object.assign(known, { facts: { entries: new Map(), trust, revocations: [] } }),
  });
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    times.push(await connectOnce(server, { attestation: undefined, restored: known }));
    report(`${times.at(-1)?.toFixed(0) ?? ''} ms`);
  }
  return times;
}

async function connectOnce(
  { port }: LaunchedServer,
  options: Pick<NodeOptions, 'attestation' | 'restored' | 'saveIdentity' | 'saveFacts'>,
): Promise<number> {
  const node = openNode({
    trustDomain: TrustDomain.parse('example.org'),
    servers: [{ host: '127.0.0.1', port }],
    bootstrap: { kind: 'insecure' },
    agentVersion: 'bench',
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    metrics: createMetrics(),
    ...options,
  });
  const began = performance.now();
  try {
    node.start();
    await Promise.all([node.ready, node.asked]);
    const took = performance.now() - began;
    const { entries, isTold } = node.status();
    if (entries < ENTRIES || !isTold) throw new Error(`told of ${entries} entries only`);
    return took;
  } finally {
    await node.close();
  }
}
