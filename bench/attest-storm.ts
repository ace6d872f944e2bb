import { createJoinTokenAttestation } from '../src/attest/index.ts';
import { type Node, openNode } from '../src/node/index.ts';
import { createMetrics, silentLog, systemClock } from '../src/ops/index.ts';
import { TrustDomain } from '../src/spiffe/index.ts';
import { type LaunchedServer, launchServer } from '../test/programs/launch-server.ts';
import { residentMib } from '../test/programs/memory.ts';
import { against, type Benchmark } from './measurement.ts';
import { cpuSecondsOf } from './process-cpu.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

const AGENTS = 1_000;
const TOKENS_AT_ONCE = 50;
/** What a server may not exceed, idle or with all of them. */
const LIMIT_MIB = 400;
const LIMIT_S = 60;

/** All agents of a site at once, as after a power cut; they stay, and are told what changes. */
export const attestStorm: Benchmark = {
  name: 'attest_storm_1000_s',
  about: `${AGENTS} agents with a join token each come at once from one address → the last is attested and synced`,
  async run(report) {
    const seconds = await withTemporaryFolder(async (folder) => {
      const server = await launchServer(folder, {
        config: '{ server: { rateLimits: { attestation: 0 } }, log: { level: warn } }',
      });
      try {
        return await storm(server, report);
      } finally {
        await server.stop();
      }
    });
    return against(attestStorm.name, seconds, 's', LIMIT_S);
  },
};

async function storm(server: LaunchedServer, report: (progress: string) => void): Promise<number> {
  const tokens = await makeTokens(server);
  const [idle, cpu] = [residentMib(server.pid), cpuSecondsOf(server.pid)];
  const nodes = tokens.map((token) => open(server.port, token));
  try {
    const began = performance.now();
    for (const node of nodes) node.start();
    await Promise.all(nodes.map(async (node) => await node.ready));
    const seconds = (performance.now() - began) / 1_000;
    const resident = residentMib(server.pid);
    const { length: attested } = await server.agents.list({});
    const synced = nodes.filter((node) => node.status().isTold).length;
    report(
      `${attested} attested and ${synced} synced after ${seconds.toFixed(1)} s, ${(cpuSecondsOf(server.pid) - cpu).toFixed(1)} s of the server's CPU; ${idle.toFixed(0)} → ${resident.toFixed(0)} MiB, ${(((resident - idle) * 1024) / AGENTS).toFixed(0)} KiB an agent`,
    );
    if (attested !== AGENTS || synced !== AGENTS || resident > LIMIT_MIB)
      throw new Error(`${AGENTS} agents expected, in at most ${LIMIT_MIB} MiB`);
    return seconds;
  } finally {
    await Promise.all(nodes.map(async (node) => await node.close()));
  }
}

async function makeTokens(server: LaunchedServer): Promise<string[]> {
  const tokens: string[] = [];
  while (tokens.length < AGENTS) {
    const some = Array.from({ length: TOKENS_AT_ONCE }, async () => await server.makeToken());
    tokens.push(...(await Promise.all(some)));
  }
  return tokens;
}

function open(port: number, token: string): Node {
  return openNode({
    trustDomain: TrustDomain.parse('example.org'),
    servers: [{ host: '127.0.0.1', port }],
    bootstrap: { kind: 'insecure' },
    attestation: createJoinTokenAttestation(token),
    agentVersion: 'bench',
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    metrics: createMetrics(),
  });
}
