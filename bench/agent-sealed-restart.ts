import { createAdminClient } from '../src/client/index.ts';
import {
  launchServerAndAgent,
  type ServerAndAgent,
} from '../test/programs/launch-server-and-agent.ts';
import { firstSvid } from './first-svid.ts';
import { against, type Benchmark, median } from './measurement.ts';
import { withTemporaryFolder } from './temporary-folder.ts';
import { workloadEntry } from './workload-entry.ts';

const RUNS = 7;
const LIMIT_MS = 1_000;

/** From the start of an agent's process, while every server is down, to the first SVID of a waiting client. */
export const agentSealedRestart: Benchmark = {
  name: 'agent_sealed_restart_ms',
  about: `agent process start with every server down → first SVID at a waiting Workload API client; median of ${RUNS}`,
  async run(report) {
    const times = await withTemporaryFolder(async (folder) => {
      await using fleet = await launchServerAndAgent(folder);
      return await restart(fleet, report);
    });
    return against(agentSealedRestart.name, median(times), 'ms', LIMIT_MS);
  },
};

async function restart(
  { server, agent, socket, adminSocket, agentPath }: ServerAndAgent,
  report: (progress: string) => void,
): Promise<number[]> {
  const admin = createAdminClient(adminSocket);
  await admin.createEntry(workloadEntry('/workload', agentPath));
  admin.close();
  await firstSvid(socket);
  await server.kill();
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    await agent.kill();
    const began = performance.now();
    const [arrived] = await Promise.all([
      firstSvid(socket).then(() => performance.now()),
      agent.start(),
    ]);
    times.push(arrived - began);
    report(`${times.at(-1)?.toFixed(0) ?? ''} ms`);
  }
  return times;
}
